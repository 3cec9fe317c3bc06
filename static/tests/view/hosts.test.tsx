// @vitest-environment jsdom
import { act, fireEvent, screen, within } from "@testing-library/react";
import { afterEach, expect, test, vi } from "vitest";
import type { MeetingEvent } from "../../src/state/meeting";
import type { Role } from "../../src/state/people";
import { NO_RULES } from "../../src/state/rules";
import { AskDialog } from "../../src/view/AskDialog";
import { ChatPanel } from "../../src/view/ChatPanel";
import { PeoplePanel } from "../../src/view/PeoplePanel";
import { Toolbar } from "../../src/view/Toolbar";
import { person } from "../person";
import { draw, INSIDE } from "./draw";

afterEach(() => vi.restoreAllMocks());

function as(role: Role): readonly MeetingEvent[] {
  return [...INSIDE, { type: "person-changed", person: person("me", { self: true, name: "Anna", role }) }];
}

function open(name: string): string[] {
  fireEvent.click(screen.getByRole("button", { name }));
  return within(screen.getByRole("menu"))
    .getAllByRole("menuitem")
    .map((item) => item.textContent);
}

test("the host's menu and the way to end for all are a host's", () => {
  draw(<Toolbar onDialog={vi.fn()} />, as("attendee"));
  expect(screen.queryByRole("button", { name: "Host tools" })).toBeNull();
  expect(screen.queryByRole("button", { name: "Leave or end the meeting" })).toBeNull();
});

test("a co-host has the tools, and leaves alone", () => {
  draw(<Toolbar onDialog={vi.fn()} />, as("cohost"));
  expect(screen.getByRole("button", { name: "Host tools" })).toBeTruthy();
  expect(screen.queryByRole("button", { name: "Leave or end the meeting" })).toBeNull();
});

test("the host's menu says what holds", () => {
  const rules = { ...NO_RULES, locked: true, allow: new Set(["chat"] as const) };
  draw(<Toolbar onDialog={vi.fn()} />, [...as("host"), { type: "rules-changed", rules }]);
  open("Host tools");
  const checked = screen.getAllByRole("menuitemcheckbox").map((item) => [item.textContent, item.getAttribute("aria-checked")]);
  expect(checked).toEqual([
    ["Lock the meeting", "true"],
    ["Mute participants as they join", "false"],
    ["unmute themselves", "false"],
    ["start video", "false"],
    ["share their screen", "false"],
    ["chat", "true"],
    ["rename themselves", "false"],
  ]);
});

test("who leaves as the only host may leave the meeting to somebody", () => {
  const visit = draw(<Toolbar onDialog={vi.fn()} />, as("host"));
  expect(open("Leave or end the meeting")).toEqual(["End for all", "Leave the meeting", "Boris"]);
  act(() => visit.store.dispatch({ type: "person-changed", person: person("b", { name: "Boris", role: "host" }) }));
  expect(screen.queryByText("Boris")).toBeNull();
});

test.each([
  ["host", ["Ask to unmute", "Ask to start video", "Spotlight for everyone", "Rename", "Make co-host", "Make host", "Remove"]],
  ["cohost", ["Ask to unmute", "Ask to start video", "Spotlight for everyone", "Rename", "Remove"]],
] as const)("a %s finds what can be done about a person", (role, items) => {
  draw(<PeoplePanel />, [...as(role), { type: "person-changed", person: person("b", { name: "Boris", microphone: "muted", camera: null }) }]);
  expect(open("More about Boris")).toEqual(items);
});

test("what is on can be turned off", () => {
  draw(<PeoplePanel />, [...as("host"), { type: "person-changed", person: person("b", { name: "Boris", microphone: "on", camera: "c", screen: "s" }) }]);
  expect(open("More about Boris").slice(0, 3)).toEqual(["Mute", "Stop video", "Stop sharing"]);
});

test("a co-host does nothing to a host", () => {
  draw(<PeoplePanel />, [...as("cohost"), { type: "person-changed", person: person("b", { name: "Boris", role: "host" }) }]);
  expect(open("More about Boris")).toEqual(["Spotlight for everyone"]);
});

test("an attendee may change the own name alone, and not where that is closed", () => {
  const visit = draw(<PeoplePanel />, as("attendee"));
  expect(screen.queryByRole("button", { name: "More about Boris" })).toBeNull();
  expect(open("More about Anna")).toEqual(["Rename yourself"]);
  act(() => visit.store.dispatch({ type: "rules-changed", rules: { ...NO_RULES, allow: new Set() } }));
  expect(screen.queryByRole("button", { name: "More about Anna" })).toBeNull();
});

test("where the host does not allow it the button says so", () => {
  const muted = person("me", { self: true, microphone: "muted" });
  const permitted = { microphone: false, camera: true, screen: true };
  const visit = draw(<Toolbar onDialog={vi.fn()} />, [...INSIDE, { type: "person-changed", person: muted }, { type: "permitted", permitted }]);
  expect(visit.store.state().permitted).toEqual(permitted);
  expect(screen.getByRole("button", { name: "Unmute, The host does not allow you to unmute" })).toBeTruthy();
  expect(screen.getByRole("button", { name: "Stop video" })).toBeTruthy();
});

test("a closed chat has no field to write in, but a host's has", () => {
  const closed: MeetingEvent = { type: "rules-changed", rules: { ...NO_RULES, allow: new Set() } };
  const visit = draw(<ChatPanel />, [...as("attendee"), closed]);
  expect(screen.queryByRole("textbox")).toBeNull();
  expect(screen.getByText("The host has closed the chat")).toBeTruthy();
  act(() => visit.store.dispatch({ type: "person-changed", person: person("me", { self: true, role: "cohost" }) }));
  expect(screen.getByRole("textbox")).toBeTruthy();
});

test("nobody is unmuted without a word of theirs", () => {
  const visit = draw(<AskDialog />, [
    ...INSIDE,
    { type: "person-changed", person: person("me", { self: true, microphone: "muted" }) },
    { type: "asked", ask: "unmute" },
  ]);
  const set = vi.spyOn(visit, "set").mockResolvedValue();
  fireEvent.click(screen.getByRole("button", { name: "Stay muted" }));
  expect(set).not.toHaveBeenCalled();
  expect(screen.queryByRole("alertdialog")).toBeNull();
  act(() => visit.store.dispatch({ type: "asked", ask: "video" }));
  fireEvent.click(screen.getByRole("button", { name: "Start video" }));
  expect(set).toHaveBeenCalledWith("camera", true);
});
