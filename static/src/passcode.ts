/** A link may carry the passcode in its fragment, which browsers send to nobody: `/m/CODE#p=PASSCODE`. */

import { passcodeIn } from "./state/links";

/** The passcode of the address, "" for none; it is taken out, so that nobody reads it there or shares it by mistake. */
export function takePasscode(): string {
  const passcode = passcodeIn(location.hash);
  if (passcode !== "") history.replaceState(history.state, "", location.pathname + location.search);
  return passcode;
}
