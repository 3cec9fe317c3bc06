// @vitest-environment jsdom
import { afterEach, expect, test, vi } from "vitest";
import { embed } from "../../src/embedding";
import { NEW_MEETING } from "../../src/state/meeting";
import { DEFAULTS } from "../../src/state/preferences";
import { createStore } from "../../src/store";
import { Visit } from "../../src/visit";
import { INSIDE } from "./draw";

const NAMED = ["https://portal.example.org", "https://other.example"];

interface Around {
  readonly postMessage: ReturnType<typeof vi.fn>;
  readonly visit: Visit;
  readonly says: (data: unknown, origin?: string, source?: object) => Promise<void>;
}

afterEach(() => Object.defineProperty(window, "parent", { value: window, configurable: true }));

/** A meeting in a frame, and the page around it, which writes down what it gets. */
function framed(): Around {
  const postMessage = vi.fn();
  const parent = { postMessage };
  Object.defineProperty(window, "parent", { value: parent, configurable: true });
  const page = { locale: "en", code: "bcdf-ghjk-mnpq", title: "", link: "", version: "0", name: "", origins: NAMED } as const;
  const visit = new Visit(page, createStore(NEW_MEETING), DEFAULTS);
  embed(visit, NAMED);
  const says = async (data: unknown, origin = NAMED[0], source: object = parent): Promise<void> => {
    const event = new MessageEvent("message", { data, origin: origin ?? "" });
    Object.defineProperty(event, "source", { value: source });
    window.dispatchEvent(event);
    await new Promise((resolve) => setTimeout(resolve));
  };
  return { postMessage, visit, says };
}

function origins({ postMessage }: Around): unknown[] {
  return postMessage.mock.calls.map(([, origin]) => origin as unknown);
}

test("everything is posted to named origins, and to the one that spoke once it has", async () => {
  const around = framed();
  expect(around.postMessage.mock.calls).toEqual(NAMED.map((origin) => [{ veche: 1, event: "ready" }, origin]));
  await around.says({ veche: 1, id: 1, command: "end" }, NAMED[1]);
  expect(around.postMessage).toHaveBeenLastCalledWith({ veche: 1, answer: 1, error: "end: takes a host inside" }, NAMED[1]);
  for (const event of INSIDE) around.visit.store.dispatch(event);
  expect(origins(around).slice(2)).toEqual([NAMED[1], NAMED[1], NAMED[1], NAMED[1]]);
});

test.each([
  ["an origin that is not named", "https://evil.example", undefined],
  ["an origin that begins like one", "https://portal.example.org.evil.example", undefined],
  ["no origin", "null", undefined],
  ["another window of the named origin", NAMED[0], {}],
])("a command from %s is neither done nor answered", async (_, origin, source) => {
  const around = framed();
  for (const event of INSIDE) around.visit.store.dispatch(event);
  around.postMessage.mockClear();
  await around.says({ veche: 1, id: 1, command: "leave" }, origin, source);
  await around.says({ veche: 1, id: 2, command: "nothing" }, origin, source);
  expect(around.postMessage).not.toHaveBeenCalled();
  expect(around.visit.store.state().connection.phase).toBe("connected");
});

test("commands do what the buttons do", async () => {
  const around = framed();
  await around.says({ veche: 1, id: 1, command: "camera", on: false });
  expect(around.visit.store.state().devices.camera.wanted).toBe(false);
  await around.says({ veche: 1, id: 2, command: "panel", panel: "chat" });
  expect(around.postMessage).toHaveBeenLastCalledWith({ veche: 1, answer: 2, error: "panel: is not inside" }, NAMED[0]);
  for (const event of INSIDE) around.visit.store.dispatch(event);
  await around.says({ veche: 1, id: 3, command: "panel", panel: "chat" });
  await around.says({ veche: 1, id: 4, command: "panel", panel: "chat" });
  expect(around.visit.store.state().panel).toBe("chat");
  await around.says({ veche: 1, id: 5, command: "panel", panel: null });
  expect(around.visit.store.state().panel).toBeNull();
  await around.says({ veche: 1, id: 6, command: "leave" });
  expect(around.visit.store.state().connection).toEqual({ phase: "ended", reason: "left" });
  expect(around.postMessage).toHaveBeenLastCalledWith({ veche: 1, answer: 6, error: null }, NAMED[0]);
});

test("a page of its own hears no messages", () => {
  const store = createStore(NEW_MEETING);
  const page = { locale: "en", code: "bcdf-ghjk-mnpq", title: "", link: "", version: "0", name: "", origins: NAMED } as const;
  const listen = vi.spyOn(window, "addEventListener");
  embed(new Visit(page, store, DEFAULTS), NAMED);
  expect(listen.mock.calls.filter(([kind]) => kind === "message")).toEqual([]);
});
