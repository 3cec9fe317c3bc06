/** A meeting in an iframe: tells the page around it what happens, and does what that page asks for. */

import { isInside } from "./state/connection";
import { eventsBetween, readCommand, VERSION, type Answered, type Command, type Told } from "./state/embedding";
import { runsMeeting, selfOf } from "./state/people";
import type { Visit } from "./visit";

/** `origins` are those of the sites that the meeting names: only their pages are heard, and only they hear anything. */
export function embed(visit: Visit, origins: readonly string[]): void {
  const parent = window.parent;
  if (parent === window) return;
  // A browser delivers to the origin that is named or to nobody; who is around is known once they have spoken.
  let around: readonly string[] = "ancestorOrigins" in location ? origins.filter((origin) => origin === location.ancestorOrigins[0]) : origins;
  const post = (message: Told | Answered): void => {
    for (const origin of around) parent.postMessage({ veche: VERSION, ...message }, origin);
  };

  let known = visit.store.state();
  visit.store.subscribe(() => {
    const before = known;
    known = visit.store.state();
    for (const event of eventsBetween(before, known)) post(event);
  });
  window.addEventListener("message", ({ source, origin, data }) => {
    if (source !== parent || !origins.includes(origin)) return;
    const asked = readCommand(data);
    if (asked === null) return;
    around = [origin];
    const { id, command } = asked;
    if (typeof command === "string") post({ answer: id, error: command });
    else void carryOut(visit, command).then((error) => post({ answer: id, error }));
  });
  post({ event: "ready" });
}

/** Null, or why not. */
async function carryOut(visit: Visit, command: Command): Promise<string | null> {
  const { connection, people, panel } = visit.store.state();
  const inside = isInside(connection);
  switch (command.command) {
    case "join":
      if (connection.phase !== "before" && connection.phase !== "ended") return "join: is on the way in, or inside";
      return visit.comeIn(command) ? null : "join: takes a name, or a ticket";
    case "leave":
      if (connection.phase === "waiting") visit.stopWaiting();
      else if (inside) await visit.leave();
      else return "leave: is not inside";
      return null;
    case "microphone":
    case "camera":
      if (connection.phase === "ended") return `${command.command}: the visit is over`;
      await visit.set(command.command, command.on);
      return null;
    case "rename":
      if (!inside) return "rename: is not inside";
      return (await visit.rename(command.name)) ? null : "rename: the server did not allow it";
    case "panel":
      if (!inside) return "panel: is not inside";
      if (command.panel === null) visit.store.dispatch({ type: "panel-closed" });
      else if (command.panel !== panel) visit.store.dispatch({ type: "panel-toggled", panel: command.panel });
      return null;
    case "end":
      if (!inside || !runsMeeting(selfOf(people))) return "end: takes a host inside";
      return (await visit.asHost((tools) => tools.end())) ? null : "end: the server did not allow it";
  }
}
