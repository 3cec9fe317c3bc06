// @vitest-environment jsdom
import { fireEvent, screen } from "@testing-library/react";
import { expect, test } from "vitest";
import type { MeetingEvent } from "../../src/state/meeting";
import { ChatPanel } from "../../src/view/ChatPanel";
import { draw, INSIDE } from "./draw";

const OPEN: MeetingEvent = { type: "panel-toggled", panel: "chat" };

function said(id: string, text: string): MeetingEvent {
  return { type: "chat-received", message: { id, identity: "b", name: "Boris", own: false, text, at: 0, state: "sent" } };
}

test("writing starts at once; Enter sends, Shift+Enter does not", () => {
  const visit = draw(<ChatPanel />, [...INSIDE, OPEN]);
  const field = screen.getByRole("textbox", { name: "Message to everyone" });
  expect(document.activeElement).toBe(field);
  fireEvent.change(field, { target: { value: " Hello " } });
  fireEvent.keyDown(field, { key: "Enter", shiftKey: true });
  expect(visit.written).toEqual([]);
  fireEvent.keyDown(field, { key: "Enter" });
  expect(visit.written).toEqual(["Hello"]);
  expect(field).toHaveProperty("value", "");
});

test("blanks are not sent", () => {
  const visit = draw(<ChatPanel />, [...INSIDE, OPEN]);
  const field = screen.getByRole("textbox");
  fireEvent.change(field, { target: { value: "  \n" } });
  fireEvent.keyDown(field, { key: "Enter" });
  expect(visit.written).toEqual([]);
  expect(screen.getByRole("button", { name: "Send" })).toHaveProperty("disabled", true);
});

test("Enter that ends an input method's composition sends nothing", () => {
  const visit = draw(<ChatPanel />, [...INSIDE, OPEN]);
  const field = screen.getByRole("textbox");
  fireEvent.change(field, { target: { value: "привет" } });
  fireEvent.keyDown(field, { key: "Enter", isComposing: true });
  expect(visit.written).toEqual([]);
});

test("addresses become links that give nothing away", () => {
  draw(<ChatPanel />, [...INSIDE, said("1", "see https://veche.test/a and javascript:alert(1)"), OPEN]);
  const [link, ...others] = screen.getAllByRole("link");
  expect(others).toEqual([]);
  expect(link?.getAttribute("href")).toBe("https://veche.test/a");
  expect(link?.getAttribute("rel")).toBe("noopener noreferrer");
  expect(link?.getAttribute("target")).toBe("_blank");
});

test("markup in a message stays text", () => {
  draw(<ChatPanel />, [...INSIDE, said("1", "<img src=x onerror=alert(1)>"), OPEN]);
  expect(document.querySelector("img")).toBeNull();
  expect(screen.getByText("<img src=x onerror=alert(1)>")).toBeTruthy();
});

test("a line stands above what was unread", () => {
  draw(<ChatPanel />, [...INSIDE, OPEN, said("1", "read"), { type: "panel-closed" }, said("2", "new"), OPEN]);
  const line = screen.getByRole("separator");
  expect(line.textContent).toBe("New messages");
  expect(line.previousElementSibling?.textContent).toContain("read");
  expect(line.nextElementSibling?.textContent).toContain("new");
});

test("Escape closes the panel", () => {
  const visit = draw(<ChatPanel />, [...INSIDE, OPEN]);
  fireEvent.keyDown(screen.getByRole("textbox"), { key: "Escape" });
  expect(visit.store.state().panel).toBeNull();
});
