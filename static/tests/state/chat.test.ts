import { expect, test } from "vitest";
import { isContinued, NO_CHAT, reduceChat, type Chat, type ChatEvent, type Message } from "../../src/state/chat";

function message(id: string, change: Partial<Message> = {}): Message {
  return { id, identity: "b", name: "Boris", own: false, text: "hello", at: 0, state: "sent", ...change };
}

function received(...messages: Message[]): ChatEvent[] {
  return messages.map((message) => ({ type: "chat-received", message }));
}

function after(...events: ChatEvent[]): Chat {
  return events.reduce(reduceChat, NO_CHAT);
}

test("counts what came while it was closed", () => {
  expect(after(...received(message("1"), message("2"))).unread).toBe(2);
});

test("own messages are never unread", () => {
  expect(after(...received(message("1", { own: true }))).unread).toBe(0);
});

test("the divider stays above the first unread message while the chat is open", () => {
  const open = after(...received(message("1"), message("2")), { type: "chat-opened" });
  expect(open).toMatchObject({ unread: 0, open: true, dividerAt: "1" });
  expect(received(message("3")).reduce(reduceChat, open)).toMatchObject({ unread: 0, dividerAt: "1" });
  expect(reduceChat(open, { type: "chat-closed" })).toMatchObject({ open: false, dividerAt: null });
});

test("an answer takes the divider away", () => {
  const open = after(...received(message("1")), { type: "chat-opened" });
  expect(received(message("2", { own: true })).reduce(reduceChat, open).dividerAt).toBeNull();
});

test("the same message twice is one", () => {
  expect(after(...received(message("1"), message("1"))).messages).toHaveLength(1);
});

test("says of an own message whether it went out", () => {
  const chat = after(...received(message("1", { state: "sending" }), message("2")), { type: "chat-sent", id: "1", result: "failed" });
  expect(chat.messages.map(({ state }) => state)).toEqual(["failed", "sent"]);
});

test("keeps the last two thousand", () => {
  const chat = after(...received(...Array.from({ length: 2005 }, (_, index) => message(`${index}`))));
  expect(chat.messages).toHaveLength(2000);
  expect(chat.messages[0]?.id).toBe("5");
});

test.each([
  ["of the same person within two minutes", message("1", { at: 119_999 }), true],
  ["of the same person later", message("1", { at: 120_000 }), false],
  ["of somebody else", message("1", { identity: "c", at: 1 }), false],
])("a message %s goes on: %s", (_, next, expected) => {
  expect(isContinued(next, message("0"))).toBe(expected);
});

test("the first message does not go on", () => {
  expect(isContinued(message("1"), undefined)).toBe(false);
});
