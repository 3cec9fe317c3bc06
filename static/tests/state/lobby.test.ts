import { expect, test } from "vitest";
import { NO_LOBBY, newcomers, reduceLobby, type Lobby, type LobbyEvent, type WaitingPerson } from "../../src/state/lobby";

const [ANNA, BORIS, VERA] = ["Anna", "Boris", "Vera"].map((name): WaitingPerson => ({ id: `KN_${name}`, name, member: false })) as [
  WaitingPerson,
  WaitingPerson,
  WaitingPerson,
];

function found(...waiting: WaitingPerson[]): LobbyEvent {
  return { type: "lobby-found", waiting, message: "" };
}

function after(...events: LobbyEvent[]): Lobby {
  return events.reduce(reduceLobby, NO_LOBBY);
}

test("shows who waits, and what they are told", () => {
  const lobby = after({ type: "lobby-found", waiting: [ANNA, BORIS], message: "Soon" });
  expect(lobby).toMatchObject({ waiting: [ANNA, BORIS], message: "Soon" });
});

test("says who came last, once", () => {
  expect(after(found(ANNA)).arrived).toEqual([ANNA]);
  expect(after(found(ANNA), found(ANNA, BORIS, VERA)).arrived).toEqual([BORIS, VERA]);
  expect(after(found(ANNA, BORIS), found(ANNA, BORIS)).arrived).toEqual([ANNA, BORIS]);
  expect(after(found(ANNA, BORIS), found(BORIS)).arrived).toEqual([BORIS]);
  expect(newcomers([ANNA], [BORIS, ANNA])).toEqual([BORIS]);
});

test("keeps a decision until the server has confirmed it", () => {
  const deciding: LobbyEvent = { type: "lobby-deciding", ids: [ANNA.id, BORIS.id] };
  expect(after(found(ANNA, BORIS), deciding).deciding).toEqual(new Set([ANNA.id, BORIS.id]));
  // An answer that was under way still lists them.
  expect(after(found(ANNA, BORIS), deciding, found(ANNA, BORIS, VERA)).deciding).toEqual(new Set([ANNA.id, BORIS.id]));
  expect(after(found(ANNA, BORIS), deciding, found(VERA)).deciding).toEqual(new Set());
});

test("offers a decision again that did not reach the server", () => {
  const lobby = after(found(ANNA, BORIS), { type: "lobby-deciding", ids: [ANNA.id, BORIS.id] }, { type: "lobby-undecided", ids: [ANNA.id] });
  expect(lobby.deciding).toEqual(new Set([BORIS.id]));
});
