/** What the address gives, its fragment taken out of it: nobody reads a ticket there, or shares it by mistake. */

import { isPersonal, readGiven, type Given } from "./state/given";

export function takeGiven(): Given {
  const given = readGiven(location.search, location.hash);
  if (isPersonal(location.hash)) history.replaceState(history.state, "", location.pathname + location.search);
  return given;
}
