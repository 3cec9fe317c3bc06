/** The lobby as hosts see it: who waits for their word, and which decisions are on their way. */

export interface WaitingPerson {
  /** Of the knock. */
  readonly id: string;
  readonly name: string;
  /** Signed in with an account, so that the name is known to be theirs. */
  readonly member: boolean;
}

export interface Lobby {
  /** In the order in which they came. */
  readonly waiting: readonly WaitingPerson[];
  /** What those who wait are told; "" for nothing. */
  readonly message: string;
  /** Knocks that this page has decided and that the server has not confirmed yet. */
  readonly deciding: ReadonlySet<string>;
  /** Who came last, for screen readers; [] where nobody is new. */
  readonly arrived: readonly WaitingPerson[];
}

export type LobbyEvent =
  | { readonly type: "lobby-found"; readonly waiting: readonly WaitingPerson[]; readonly message: string }
  | { readonly type: "lobby-deciding"; readonly ids: readonly string[] }
  | { readonly type: "lobby-undecided"; readonly ids: readonly string[] };

export const NO_LOBBY: Lobby = { waiting: [], message: "", deciding: new Set(), arrived: [] };
/** As many have a card each; more are a number. */
export const MOST_CARDS = 3;

export function reduceLobby(lobby: Lobby, event: LobbyEvent): Lobby {
  switch (event.type) {
    case "lobby-found": {
      const { waiting, message } = event;
      const present = new Set(waiting.map(({ id }) => id));
      const deciding = new Set([...lobby.deciding].filter((id) => present.has(id)));
      const arrived = newcomers(lobby.waiting, waiting);
      return { waiting, message, deciding, arrived: arrived.length > 0 ? arrived : lobby.arrived.filter(({ id }) => present.has(id)) };
    }
    case "lobby-deciding":
      return { ...lobby, deciding: new Set([...lobby.deciding, ...event.ids]) };
    case "lobby-undecided":
      return { ...lobby, deciding: new Set([...lobby.deciding].filter((id) => !event.ids.includes(id))) };
  }
}

/** The people of a list in an answer; nobody where there is no list. */
export function peopleIn(body: unknown, list: string): WaitingPerson[] {
  const listed = valueIn(body, list);
  if (!Array.isArray(listed)) return [];
  return listed.map((one: unknown) => ({
    id: textIn(one, "id"),
    name: textIn(one, "name"),
    member: valueIn(one, "member") === true,
  }));
}

function valueIn(body: unknown, name: string): unknown {
  return typeof body === "object" && body !== null ? Reflect.get(body, name) : null;
}

/** A text in an answer, "" where it is not there. */
export function textIn(body: unknown, name: string): string {
  const value = valueIn(body, name);
  return typeof value === "string" ? value : "";
}

/** Who waits now and did not before. */
export function newcomers(before: readonly WaitingPerson[], now: readonly WaitingPerson[]): WaitingPerson[] {
  const known = new Set(before.map(({ id }) => id));
  return now.filter(({ id }) => !known.has(id));
}
