/** Listens for the keys of the meeting. */

import { useEffect } from "react";
import { actionOf, type Action, type Focus } from "../state/shortcuts";

interface Actions {
  readonly run: (action: Exclude<Action, "talk">) => void;
  readonly talk: (holding: boolean) => void;
}

export function useShortcuts(enabled: boolean, { run, talk }: Actions): void {
  useEffect(() => {
    if (!enabled) return;
    let holding: string | null = null;
    const release = (): void => {
      if (holding === null) return;
      holding = null;
      talk(false);
    };
    const pressed = (event: KeyboardEvent): void => {
      const { code, key, altKey: alt, ctrlKey: control, shiftKey: shift, metaKey: meta } = event;
      const action = actionOf({ code, key, alt, control, shift, meta }, focusOf(document.activeElement));
      // An open dialog or menu has the keys for itself.
      if (action === null || document.querySelector("dialog[open], [role=menu]")) return;
      event.preventDefault();
      if (event.repeat) return;
      if (action === "talk") {
        holding = code;
        talk(true);
      } else run(action);
    };
    const released = (event: KeyboardEvent): void => {
      if (event.code === holding) release();
    };
    window.addEventListener("keydown", pressed);
    window.addEventListener("keyup", released);
    window.addEventListener("blur", release);
    document.addEventListener("visibilitychange", release);
    return () => {
      release();
      window.removeEventListener("keydown", pressed);
      window.removeEventListener("keyup", released);
      window.removeEventListener("blur", release);
      document.removeEventListener("visibilitychange", release);
    };
  }, [enabled, run, talk]);
}

function focusOf(element: Element | null): Focus {
  if (!element || element === document.body) return "nothing";
  if (element.matches("input:not([type=checkbox], [type=radio]), textarea, select, [contenteditable=true]")) return "typing";
  return element.matches("a[href], button, input, summary, [role=button], [role=menuitem], [tabindex='0']")
    ? "interactive"
    : "nothing";
}
