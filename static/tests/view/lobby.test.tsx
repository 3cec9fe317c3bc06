// @vitest-environment jsdom
import { act, fireEvent, screen, within } from "@testing-library/react";
import { beforeEach, expect, test, vi } from "vitest";
import type { MeetingEvent } from "../../src/state/meeting";
import { KnockCards } from "../../src/view/KnockCards";
import { LobbySection } from "../../src/view/LobbySection";
import { Prejoin } from "../../src/view/Prejoin";
import { Toolbar } from "../../src/view/Toolbar";
import { Waiting } from "../../src/view/Waiting";
import { HostsLobby } from "../../src/hostsLobby";
import { draw, INSIDE, type WrittenVisit } from "./draw";

const NAMES = ["Boris", "Vera", "Gleb", "Dora", "Zoe"];

function waiting(count: number, message = ""): MeetingEvent {
  return { type: "lobby-found", waiting: NAMES.slice(0, count).map((name, at) => ({ id: `KN_${name}`, name, member: at === 1 })), message };
}

/** What was asked of the server: method and path behind the meeting's. */
const asked: string[] = [];
let answer: () => Response = () => Response.json({ waiting: [], message: "" });

beforeEach(() => {
  asked.length = 0;
  vi.stubGlobal("fetch", (path: string, { method }: RequestInit) => {
    asked.push(`${method ?? "GET"} ${path.replace("/api/v1/meetings/bcdf-ghjk-mnpq", "")}`);
    return Promise.resolve(answer());
  });
});

function asHost(visit: WrittenVisit): void {
  visit.lobby = new HostsLobby(visit.page.code, visit.store, () => "token", vi.fn());
}

test("up to three have a card each, with who they are and what can be done", async () => {
  const visit = draw(<KnockCards />, [...INSIDE, waiting(3)]);
  asHost(visit);
  expect(screen.getAllByTestId("knock-card").map((card) => card.textContent)).toEqual([
    "BBoris is waitingGuest, name not verifiedRefuseAdmit",
    "VVera is waitingName verifiedRefuseAdmit",
    "GGleb is waitingGuest, name not verifiedRefuseAdmit",
  ]);
  answer = () => Response.json({ waiting: [{ id: "KN_Vera", name: "Vera", member: true }], message: "" });
  fireEvent.click(screen.getByRole("button", { name: "Admit Boris" }));
  expect(screen.getByRole("button", { name: "Refuse Boris" })).toHaveProperty("disabled", true);
  await act(async () => vi.waitFor(() => expect(screen.getAllByTestId("knock-card")).toHaveLength(1)));
  expect(asked).toEqual(["POST /lobby/KN_Boris/admit"]);
});

test("more than three are a number, with all at once or one by one in the panel", () => {
  const visit = draw(<KnockCards />, [...INSIDE, waiting(5)]);
  asHost(visit);
  const card = within(screen.getByTestId("knock-card"));
  expect(card.getByText("5 people are waiting")).toBeTruthy();
  fireEvent.click(card.getByRole("button", { name: "Admit all" }));
  expect(asked).toEqual(["POST /lobby/admit-all"]);
  fireEvent.click(card.getByRole("button", { name: "Show" }));
  expect(visit.store.state().panel).toBe("people");
  expect(screen.queryByTestId("knock-card")).toBeNull();
});

test("a decision that did not reach the server can be made again", async () => {
  const visit = draw(<KnockCards />, [...INSIDE, waiting(1)]);
  asHost(visit);
  answer = () => new Response("", { status: 503 });
  fireEvent.click(screen.getByRole("button", { name: "Refuse Boris" }));
  await act(async () => vi.waitFor(() => expect(screen.getByRole("button", { name: "Refuse Boris" })).toHaveProperty("disabled", false)));
});

test("screen readers hear of each who came, once", () => {
  const visit = draw(<KnockCards />, [...INSIDE, waiting(1)]);
  expect(screen.getByRole("alert").textContent).toBe("Boris is waiting");
  act(() => visit.store.dispatch(waiting(2)));
  expect(screen.getByRole("alert").textContent).toBe("Vera is waiting");
  act(() => visit.store.dispatch({ type: "lobby-found", waiting: [], message: "" }));
  expect(screen.getByRole("alert").textContent).toBe("");
});

test("the toolbar counts who waits", () => {
  draw(<Toolbar onDialog={vi.fn()} />, [...INSIDE, waiting(2)]);
  const button = screen.getByRole("button", { name: "Participants, 2 participants, 2 people are waiting" });
  expect(button.querySelector<HTMLElement>(".badge.alert")?.dataset["count"]).toBe("2");
});

test("the panel lists everybody and takes a word to them", async () => {
  const visit = draw(<LobbySection />, [...INSIDE, waiting(5)], "ru");
  asHost(visit);
  expect(screen.getByRole("heading", { name: "Ждут 5 человек" })).toBeTruthy();
  expect(screen.getAllByTestId("knock-row")).toHaveLength(5);
  answer = () => Response.json({ waiting: [{ id: "KN_Boris", name: "Boris", member: false }], message: "Сейчас" });
  fireEvent.change(screen.getByLabelText("Сообщение всем, кто ждёт"), { target: { value: " Сейчас " } });
  fireEvent.click(screen.getByRole("button", { name: "Отправить" }));
  await act(async () => vi.waitFor(() => expect(screen.getByRole("status").textContent).toBe("Ожидающие видят это сообщение.")));
  expect(asked).toEqual(["POST /lobby/message"]);
});

test("who waits sees what for, what hosts say, and the way out", () => {
  const visit = draw(<Waiting />, [{ type: "join-started" }, { type: "wait-begun", reason: "lobby" }]);
  expect(screen.getByRole("heading").textContent).toBe("Please wait: the host will let you in soon");
  act(() => visit.store.dispatch({ type: "wait-told", reason: "not_started", message: "Soon <b>", startsAt: null }));
  expect(screen.queryByTestId("waiting-time")).toBeNull();
  expect(screen.getByRole("heading").textContent).toBe("The host has not started the meeting yet");
  expect(screen.getByRole("link", { name: "Sign in" }).getAttribute("href")).toBe("/sign-in?next=%2Fm%2Fbcdf-ghjk-mnpq");
  expect(screen.getByTestId("waiting-message").textContent).toContain("Soon <b>");
  act(() => visit.store.dispatch({ type: "wait-shaken" }));
  expect(screen.getByText("Connection lost. Reconnecting…")).toBeTruthy();
  fireEvent.click(screen.getByRole("button", { name: "Leave" }));
  expect(visit.store.state().connection).toEqual({ phase: "ended", reason: "withdrawn" });
});

test.each([
  ["en", "Start: Wednesday, September 24, 2031 at 4:30 PM"],
  ["ru", "Начало: среда, 24 сентября 2031 г. в 16:30"],
] as const)("who waits reads when the meeting is planned (%s)", (locale, text) => {
  const told = { type: "wait-told", reason: "not_started", message: "", startsAt: new Date(2031, 8, 24, 16, 30).getTime() } as const;
  draw(<Waiting />, [{ type: "join-started" }, { type: "wait-begun", reason: "not_started" }, told], locale);
  expect(screen.getByTestId("waiting-time").textContent.replace(/\s/g, " ")).toBe(text);
});

test("the preview asks for a passcode where there is one, and says when it is wrong", async () => {
  const visit = draw(<Prejoin rememberedName="Anna" />, []);
  answer = () => Response.json({ code: "passcode_required" }, { status: 403 });
  expect(screen.queryByLabelText("Passcode")).toBeNull();
  fireEvent.click(screen.getByRole("button", { name: "Join" }));
  const field = await screen.findByLabelText("Passcode");
  await vi.waitFor(() => expect(document.activeElement).toBe(field));
  answer = () => Response.json({ code: "wrong_passcode" }, { status: 403 });
  fireEvent.change(field, { target: { value: " 4711 " } });
  fireEvent.click(screen.getByRole("button", { name: "Join" }));
  expect((await screen.findByText("This is not the passcode. Check it against the invitation.")).getAttribute("role")).toBe("alert");
  expect(field.getAttribute("aria-invalid")).toBe("true");
  answer = () => Response.json({ code: "meeting_locked" }, { status: 403 });
  fireEvent.click(screen.getByRole("button", { name: "Join" }));
  expect(await screen.findByText("The host has locked this meeting.")).toBeTruthy();
  expect(visit.store.state().connection).toMatchObject({ phase: "before" });
});
