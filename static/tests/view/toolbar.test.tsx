// @vitest-environment jsdom
import { act, fireEvent, screen } from "@testing-library/react";
import { expect, test, vi } from "vitest";
import { Toolbar } from "../../src/view/Toolbar";
import { person } from "../person";
import { draw, INSIDE, provide } from "./draw";

function names(): (string | null)[] {
  return screen.getAllByRole("button").map((button) => button.getAttribute("aria-label"));
}

test("buttons stand in the order that people know, each with a name", () => {
  provide({ getDisplayMedia: vi.fn() });
  draw(<Toolbar onDialog={vi.fn()} />, INSIDE);
  expect(names()).toEqual([
    "Mute",
    "Microphone settings",
    "Stop video",
    "Camera settings",
    "Share screen",
    "Chat",
    "Participants, 2 participants",
    "More",
    "Leave",
  ]);
});

test("where a browser cannot share a screen there is no button for it", () => {
  draw(<Toolbar onDialog={vi.fn()} />, INSIDE);
  expect(names()).not.toContain("Share screen");
});

test("the microphone's button says what a press does", () => {
  const visit = draw(<Toolbar onDialog={vi.fn()} />, INSIDE, "ru");
  expect(names()[0]).toBe("Выключить микрофон");
  act(() => visit.store.dispatch({ type: "person-changed", person: person("me", { self: true, microphone: "muted" }) }));
  expect(names()[0]).toBe("Включить микрофон");
});

test("counts unread messages, in words too", () => {
  const message = { id: "1", identity: "b", name: "Boris", own: false, text: "hi", at: 0, state: "sent" } as const;
  draw(<Toolbar onDialog={vi.fn()} />, [...INSIDE, { type: "chat-received", message }, { type: "chat-received", message: { ...message, id: "2" } }], "ru");
  expect(names()).toContain("Чат, 2 непрочитанных сообщения");
});

test("arrows, Home and End move along the bar", () => {
  draw(<Toolbar onDialog={vi.fn()} />, INSIDE);
  const [first, second] = screen.getAllByRole("button");
  const last = screen.getByRole("button", { name: "Leave" });
  first?.focus();
  fireEvent.keyDown(document.activeElement ?? document.body, { key: "ArrowRight" });
  expect(document.activeElement).toBe(second);
  fireEvent.keyDown(document.activeElement ?? document.body, { key: "End" });
  expect(document.activeElement).toBe(last);
  fireEvent.keyDown(document.activeElement ?? document.body, { key: "ArrowRight" });
  expect(document.activeElement).toBe(first);
  fireEvent.keyDown(document.activeElement ?? document.body, { key: "ArrowLeft" });
  expect(document.activeElement).toBe(last);
});

test("a menu takes the focus, moves it by arrows, and gives it back on Escape", () => {
  draw(<Toolbar onDialog={vi.fn()} />, INSIDE);
  const more = screen.getByRole("button", { name: "More" });
  fireEvent.click(more);
  expect(more.getAttribute("aria-expanded")).toBe("true");
  const items = screen.getAllByRole("menuitem");
  expect(document.activeElement).toBe(items[0]);
  fireEvent.keyDown(document.activeElement ?? document.body, { key: "ArrowUp" });
  expect(document.activeElement).toBe(items[items.length - 1]);
  fireEvent.keyDown(document.activeElement ?? document.body, { key: "Escape" });
  expect(screen.queryByRole("menu")).toBeNull();
  expect(document.activeElement).toBe(more);
});

test("the menu of microphones marks the chosen one and chooses another", () => {
  const visit = draw(<Toolbar onDialog={vi.fn()} />, [
    ...INSIDE,
    {
      type: "devices-listed",
      choosableSpeaker: false,
      lists: { microphone: [{ id: "default", label: "Default" }, { id: "m", label: "Headset (0b0e:0c7d)" }], camera: [], speaker: [] },
    },
  ]);
  fireEvent.click(screen.getByRole("button", { name: "Microphone settings" }));
  expect(screen.getByRole("menuitemradio", { name: "System default" }).getAttribute("aria-checked")).toBe("true");
  fireEvent.click(screen.getByRole("menuitemradio", { name: "Headset" }));
  expect(visit.store.state().devices.microphone.chosen).toBe("m");
});

test("says that one speaks while muted", () => {
  draw(<Toolbar onDialog={vi.fn()} />, [
    ...INSIDE,
    { type: "person-changed", person: person("me", { self: true, microphone: "muted" }) },
    { type: "spoke-while-muted" },
  ]);
  expect(screen.getByRole("status").textContent).toContain("You are speaking, but your microphone is off");
});
