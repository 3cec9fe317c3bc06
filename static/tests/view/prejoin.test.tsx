// @vitest-environment jsdom
import { fireEvent, screen, waitFor } from "@testing-library/react";
import { expect, test } from "vitest";
import { Prejoin } from "../../src/view/Prejoin";
import { draw, provide } from "./draw";

/** What getUserMedia throws; jsdom's DOMException is no Error, as a browser's is. */
function failure(message: string, name: string): Error {
  return Object.assign(new Error(message), { name });
}

/** A browser whose devices fail as `failures` says, by what is asked for. */
function browserWith(failures: { readonly audio: Error; readonly video: Error }): void {
  const getUserMedia = (constraints: MediaStreamConstraints): Promise<never> =>
    Promise.reject(constraints.video ? failures.video : failures.audio);
  provide({ getUserMedia, enumerateDevices: () => Promise.resolve([]) });
}

const PROMPT = [{ type: "devices-access", access: "prompt" }] as const;
const REFUSED = failure("Permission denied", "NotAllowedError");
const BUSY = failure("Could not start video source", "NotReadableError");
const MISSING = failure("Requested device not found", "NotFoundError");

async function faults(): Promise<string[]> {
  return waitFor(() => screen.getAllByRole("alert").map((alert) => alert.querySelector("p")?.textContent ?? ""));
}

test("asks for devices only on a click, and says why", () => {
  draw(<Prejoin rememberedName="" />, PROMPT);
  expect(screen.getByText(/Nothing is sent before you join/u)).toBeTruthy();
  expect(screen.queryByRole("alert")).toBeNull();
});

test("one message says that both were refused, and what to do", async () => {
  browserWith({ audio: REFUSED, video: REFUSED });
  draw(<Prejoin rememberedName="" />, PROMPT, "ru");
  fireEvent.click(screen.getByRole("button", { name: "Разрешить доступ" }));
  expect(await faults()).toEqual([
    "Браузер не даёт этому сайту микрофон и камеру. Нажмите значок рядом с адресом, разрешите доступ и попробуйте снова.",
  ]);
});

test("two messages where the reasons differ", async () => {
  browserWith({ audio: MISSING, video: BUSY });
  draw(<Prejoin rememberedName="" />, PROMPT);
  fireEvent.click(screen.getByRole("button", { name: "Allow access" }));
  await waitFor(async () =>
    expect(await faults()).toEqual([
      "No microphone found. Plug one in: it will appear here by itself.",
      "Another program is using the camera. Close it and try again.",
    ]),
  );
});

test("a page without https says so at once, and offers no second try", async () => {
  const visit = draw(<Prejoin rememberedName="" />, []);
  await visit.start();
  expect((await faults())[0]).toContain("only to secure pages");
  expect(screen.queryByRole("button", { name: "Try again" })).toBeNull();
});

test("the name is asked for first, and demanded", async () => {
  draw(<Prejoin rememberedName="" />, PROMPT);
  const field = screen.getByLabelText("Your name");
  expect(document.activeElement).toBe(field);
  fireEvent.click(screen.getByRole("button", { name: "Join" }));
  expect(await faults()).toHaveLength(1);
  expect(field.getAttribute("aria-invalid")).toBe("true");
  fireEvent.change(field, { target: { value: "Anna" } });
  expect(screen.queryByRole("alert")).toBeNull();
});

test("whose name is known joins by Enter", () => {
  draw(<Prejoin rememberedName="Anna" />, PROMPT);
  expect(document.activeElement).toBe(screen.getByRole("button", { name: "Join" }));
});

test.each([
  ["meeting_not_found", "There is no such meeting. Check the link."],
  ["room_full", "This meeting is full."],
  ["unreachable", "The server does not answer. Check your connection and try again."],
])("a refusal with %s says: %s", (code, words) => {
  draw(<Prejoin rememberedName="Anna" />, [...PROMPT, { type: "join-started" }, { type: "join-refused", problem: { code, detail: "" } }]);
  expect(screen.getByRole("alert").textContent).toContain(words);
});
