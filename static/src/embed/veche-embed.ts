/**
 * Puts a meeting into another site's page: `import { embed } from "https://HOST/veche-embed.js"`.
 *
 * Served as it is to any site, and depends on nothing. What the messages mean stands in PROTOCOL.md 11.
 */

import type { Answered, Command, Message, Told } from "../state/embedding";

const VERSION = 1;
const ALLOW = ["camera", "microphone", "display-capture", "fullscreen", "autoplay", "clipboard-write", "screen-wake-lock"];
/** The meeting has answered long before, or never will, ms. */
const PATIENCE = 60_000;

export interface Options {
  /** The meeting's code. */
  readonly code: string;
  /** Where the iframe goes: it fills this element. */
  readonly into: HTMLElement;
  /** From `POST /api/v1/meetings/{meeting}/tokens`, on your server: this person comes past passcode (and lobby). */
  readonly ticket?: string;
  readonly name?: string;
  readonly passcode?: string;
  readonly lang?: "ru" | "en";
  readonly theme?: "light" | "dark";
  /** False: starts with it off. */
  readonly audio?: boolean;
  readonly video?: boolean;
  /** False: comes in at once, where there is a name or a ticket. */
  readonly preview?: boolean;
  /** What the iframe is, for screen readers. */
  readonly title?: string;
}

type Listener = (event: Told) => void;

/** A meeting on the page. Every verb is a promise, which rejects with the meeting's reason where it did not happen. */
export class EmbeddedMeeting {
  readonly frame = document.createElement("iframe");
  /** Resolves when the meeting takes commands; it never does on a page whose origin the meeting does not name. */
  readonly ready: Promise<void>;
  private readonly listeners = new Set<Listener>();
  private readonly asked = new Map<number, (error: string | null) => void>();
  private last = 0;

  constructor(
    private readonly service: string,
    options: Options,
  ) {
    this.ready = new Promise((resolve) => {
      this.on((event) => {
        if (event.event === "ready") resolve();
      });
    });
    this.frame.allow = ALLOW.join("; ");
    this.frame.title = options.title ?? "Veche";
    this.frame.style.cssText = "border:0;width:100%;height:100%";
    this.frame.src = addressOf(service, options);
    window.addEventListener("message", this.heard);
    options.into.append(this.frame);
  }

  /** Calls the listener with every event; answers the way to stop. */
  on(listener: Listener): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** Accepted when it resolves; the events tell whether it ends inside, or waiting, or not. */
  join(person: { readonly name?: string; readonly ticket?: string; readonly passcode?: string } = {}): Promise<void> {
    return this.ask({ command: "join", name: "", ticket: "", passcode: "", ...person });
  }

  leave(): Promise<void> {
    return this.ask({ command: "leave" });
  }

  setMicrophone(on: boolean): Promise<void> {
    return this.ask({ command: "microphone", on });
  }

  setCamera(on: boolean): Promise<void> {
    return this.ask({ command: "camera", on });
  }

  rename(name: string): Promise<void> {
    return this.ask({ command: "rename", name });
  }

  showPanel(panel: "chat" | "people" | null): Promise<void> {
    return this.ask({ command: "panel", panel });
  }

  /** For all; hosts alone. */
  end(): Promise<void> {
    return this.ask({ command: "end" });
  }

  /** Takes the meeting off the page; who was inside has left. */
  remove(): void {
    window.removeEventListener("message", this.heard);
    this.frame.remove();
    for (const answer of [...this.asked.values()]) answer("the meeting is off the page");
  }

  private async ask(command: Command): Promise<void> {
    await this.ready;
    this.last += 1;
    const id = this.last;
    const error = await new Promise<string | null>((resolve) => {
      const timer = setTimeout(() => this.asked.get(id)?.(`${command.command}: no answer`), PATIENCE);
      this.asked.set(id, (why) => {
        clearTimeout(timer);
        this.asked.delete(id);
        resolve(why);
      });
      this.frame.contentWindow?.postMessage({ veche: VERSION, id, ...command }, this.service);
    });
    if (error !== null) throw new Error(error);
  }

  private readonly heard = ({ source, origin, data }: MessageEvent<unknown>): void => {
    if (source !== this.frame.contentWindow || origin !== this.service || !isMessage(data)) return;
    if ("answer" in data) this.asked.get((data as Answered).answer)?.(data.error);
    else for (const listener of this.listeners) listener(data);
  };
}

/** `service` is the address of Veche; by default where this module came from. */
export function embed(options: Options, service = import.meta.url): EmbeddedMeeting {
  return new EmbeddedMeeting(new URL(service).origin, options);
}

/** What says something of a person stands in the fragment, which browsers send to nobody. */
function addressOf(service: string, { code, ticket, name, passcode, lang, theme, audio, video, preview }: Options): string {
  const off = (on: boolean | undefined): string | undefined => (on === false ? "off" : undefined);
  const open = joined({ lang, theme, audio: off(audio), video: off(video), preview: off(preview) });
  return `${service}/embed/${encodeURIComponent(code)}?${open}#${joined({ name, p: passcode, t: ticket })}`;
}

function joined(values: Readonly<Record<string, string | undefined>>): string {
  const given = Object.entries(values).filter((entry): entry is [string, string] => entry[1] !== undefined);
  return given.map(([name, value]) => `${name}=${encodeURIComponent(value)}`).join("&");
}

function isMessage(data: unknown): data is Message {
  return typeof data === "object" && data !== null && Reflect.get(data, "veche") === VERSION;
}
