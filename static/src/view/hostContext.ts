/** Which question to a host is open: a menu asks it, the meeting's screen shows it. */

import { createContext, use } from "react";

/** What needs a second word before it is done. */
export type HostQuestion =
  | { readonly kind: "mute-all" }
  | { readonly kind: "remove"; readonly identity: string; readonly name: string }
  | { readonly kind: "make-host"; readonly identity: string; readonly name: string }
  | { readonly kind: "rename"; readonly identity: string; readonly name: string; readonly self: boolean };

export const HostQuestionContext = createContext<(question: HostQuestion) => void>(() => undefined);

export function useHostQuestion(): (question: HostQuestion) => void {
  return use(HostQuestionContext);
}
