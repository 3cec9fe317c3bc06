/** Draws a view as the client does, with a real visit and store. */

import { cleanup, render } from "@testing-library/react";
import type { ReactNode } from "react";
import { I18nextProvider } from "react-i18next";
import { afterEach } from "vitest";
import { startTexts } from "../../src/i18n";
import type { Locale } from "../../src/page";
import { NEW_MEETING, type MeetingEvent } from "../../src/state/meeting";
import { DEFAULTS } from "../../src/state/preferences";
import { createStore } from "../../src/store";
import { VisitContext } from "../../src/view/context";
import { LooksProvider } from "../../src/view/preferencesContext";
import { Visit } from "../../src/visit";
import { person } from "../person";

afterEach(() => {
  cleanup();
  Reflect.deleteProperty(navigator, "mediaDevices");
});

/** Two people inside, oneself with the microphone on. */
export const INSIDE: readonly MeetingEvent[] = [
  { type: "join-started" },
  { type: "people-replaced", people: [person("me", { self: true, name: "Anna" }), person("b", { name: "Boris" })] },
  { type: "connected" },
];

/** A visit that writes down what was said instead of sending it. */
export class WrittenVisit extends Visit {
  readonly written: string[] = [];

  override say(text: string): Promise<void> {
    this.written.push(text);
    return Promise.resolve();
  }
}

/** Gives the browser devices to open. */
export function provide(devices: Partial<Record<keyof MediaDevices, unknown>>): void {
  Object.defineProperty(navigator, "mediaDevices", { value: devices, configurable: true });
}

export function draw(view: ReactNode, events: readonly MeetingEvent[], locale: Locale = "en"): WrittenVisit {
  const store = createStore(NEW_MEETING);
  for (const event of events) store.dispatch(event);
  const page = { locale, code: "bcdf-ghjk-mnpq", title: "Weekly", link: "https://veche.test/m/bcdf-ghjk-mnpq", version: "0", name: "", origins: null };
  const visit = new WrittenVisit(page, store, DEFAULTS);
  render(
    <I18nextProvider i18n={startTexts(locale)}>
      <VisitContext value={visit}>
        <LooksProvider initial={DEFAULTS}>{view}</LooksProvider>
      </VisitContext>
    </I18nextProvider>,
  );
  return visit;
}
