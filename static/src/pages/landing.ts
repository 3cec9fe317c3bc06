/** The pages outside a meeting: starting one, and finding one by its code. Texts come with the page. */

import "../view/styles/tokens.css";
import { readPreferences } from "../remembered";
import { readCode } from "./code";
import { startKnocks } from "./knocks";
import { rememberZone, startCopying } from "./meetings";
import { sendFormsOnce } from "./sendingOnce";
import "./pages.css";
import "./forms.css";
import "./meetings.css";
import "./knocks.css";
import "./reference.css";
import "./webhooks.css";

/** A server that has not answered by now will not be believed later, ms. */
const PATIENCE = 15_000;

// The theme chosen in a meeting holds here too.
document.documentElement.dataset["theme"] = readPreferences().theme;

rememberZone();
startCopying();
startKnocks();
sendFormsOnce();

const actions = document.getElementById("actions");
if (actions) begin(actions);

function begin(actions: HTMLElement): void {
  const start = document.querySelector<HTMLButtonElement>("#new-meeting"); // absent where making meetings takes an account
  const form = element("join", HTMLFormElement);
  const field = element("code", HTMLInputElement);

  const say = (place: "new-problem" | "code-problem", text: string): void => {
    element(place, HTMLParagraphElement).textContent = text;
    if (place === "code-problem") field.toggleAttribute("aria-invalid", text !== "");
  };
  const words = (name: string): string => actions.dataset[name] ?? "";
  const refusal = (status: number): string =>
    words(status === 404 ? "notFound" : status === 429 ? "tooMany" : "unreachable");

  start?.addEventListener("click", () => {
    void busy(start, async () => {
      say("new-problem", "");
      const made = await ask("/api/v1/meetings", {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: "{}",
      });
      const link = made?.ok ? linkIn(await made.json()) : null;
      if (link === null) say("new-problem", refusal(made?.status ?? 0));
      // The fragment holds the passcode, for the link that the maker passes on.
      else location.assign(link.pathname + link.hash);
    });
  });

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const code = readCode(field.value);
    if (code === null) {
      say("code-problem", words(field.value.trim() === "" ? "empty" : "noCode"));
      field.focus();
      return;
    }
    void busy(element("join-button", HTMLButtonElement), async () => {
      const found = await ask(`/api/v1/meetings/${code}/preview`, {});
      if (found?.ok) {
        location.assign(`/m/${code}`);
        return;
      }
      say("code-problem", refusal(found?.status ?? 0));
      field.focus();
    });
  });

  field.addEventListener("input", () => say("code-problem", ""));
  // A pasted link shows as the code in it, so that people see what will be opened.
  field.addEventListener("paste", (event) => {
    const code = readCode(event.clipboardData?.getData("text") ?? "");
    if (code === null) return;
    event.preventDefault();
    field.value = code;
    say("code-problem", "");
  });
}

async function ask(path: string, options: RequestInit): Promise<Response | null> {
  try {
    return await fetch(path, { ...options, signal: AbortSignal.timeout(PATIENCE) });
  } catch {
    return null;
  }
}

/** Keeps a second press from doing it twice. */
async function busy(button: HTMLButtonElement, work: () => Promise<void>): Promise<void> {
  if (button.getAttribute("aria-busy") === "true") return;
  button.setAttribute("aria-busy", "true");
  try {
    await work();
  } finally {
    button.removeAttribute("aria-busy");
  }
}

function linkIn(body: unknown): URL | null {
  const link: unknown = typeof body === "object" && body !== null ? Reflect.get(body, "link") : null;
  return typeof link === "string" ? new URL(link) : null;
}

function element<Kind extends HTMLElement>(id: string, kind: new () => Kind): Kind {
  const found = document.getElementById(id);
  if (!(found instanceof kind)) throw new Error(`the page has no ${kind.name} #${id}`);
  return found;
}
