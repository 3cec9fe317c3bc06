/** Which tiles are on the stage and in what order: a tile moves only when it must. */

export interface Stage {
  /** Identities in the order of their tiles: arrivals at the end, those who leave close the gap. */
  readonly order: readonly string[];
  /** Page of the gallery, from 0. */
  readonly page: number;
  /** When each was last heard, ms; who was never heard is absent. */
  readonly heard: ReadonlyMap<string, number>;
  /** Tiles on a page, by the size of the stage. */
  readonly pageSize: number;
}

export type StageEvent =
  | { readonly type: "stage-people"; readonly identities: readonly string[]; readonly self: string | null }
  | { readonly type: "stage-heard"; readonly identity: string; readonly self: string | null }
  | { readonly type: "stage-resized"; readonly pageSize: number }
  | { readonly type: "page-turned"; readonly by: number };

export const EMPTY_STAGE: Stage = { order: [], page: 0, heard: new Map(), pageSize: 49 };

export function reduceStage(stage: Stage, event: StageEvent, now: number): Stage {
  switch (event.type) {
    case "stage-people": {
      const present = new Set(event.identities);
      const known = new Set(stage.order);
      const order = [
        ...stage.order.filter((identity) => present.has(identity)),
        ...event.identities.filter((identity) => !known.has(identity)),
      ];
      // The own tile is on the first page, whoever was there before.
      if (event.self !== null && order.indexOf(event.self) >= stage.pageSize) {
        order.splice(order.indexOf(event.self), 1);
        order.unshift(event.self);
      }
      if (order.length === stage.order.length && order.every((identity, index) => identity === stage.order[index])) {
        return stage;
      }
      return withinPages({ ...stage, order });
    }
    case "stage-heard":
      return broughtForward(stage, event.identity, event.self, now);
    case "stage-resized":
      return event.pageSize === stage.pageSize ? stage : withinPages({ ...stage, pageSize: event.pageSize });
    case "page-turned":
      return withinPages({ ...stage, page: stage.page + event.by });
  }
}

export function pageCount(stage: Stage): number {
  return Math.max(1, Math.ceil(stage.order.length / stage.pageSize));
}

/** Identities on the page in view. */
export function onPage(stage: Stage): readonly string[] {
  return stage.order.slice(stage.page * stage.pageSize, (stage.page + 1) * stage.pageSize);
}

/** Identities for a strip of `places` beside a shared screen: who spoke last first, the own tile kept at the end. */
export function inStrip(stage: Stage, places: number, self: string | null): readonly string[] {
  if (stage.order.length <= places) return stage.order;
  const others = stage.order
    .filter((identity) => identity !== self)
    .sort((a, b) => (stage.heard.get(b) ?? 0) - (stage.heard.get(a) ?? 0))
    .slice(0, self === null ? places : Math.max(1, places - 1));
  const chosen = new Set(self === null || places < 2 ? others : [...others, self]);
  return stage.order.filter((identity) => chosen.has(identity));
}

/** Who speaks on a later page changes places with the one of the first page who was silent longest. */
function broughtForward(stage: Stage, identity: string, self: string | null, now: number): Stage {
  const heard = new Map(stage.heard).set(identity, now);
  const from = stage.order.indexOf(identity);
  if (from < stage.pageSize) return { ...stage, heard };
  const candidates = stage.order.slice(0, stage.pageSize).filter((other) => other !== self);
  const quietest = candidates.reduce<string | null>(
    (least, other) => (least === null || (heard.get(other) ?? 0) < (heard.get(least) ?? 0) ? other : least),
    null,
  );
  if (quietest === null) return { ...stage, heard };
  const order = stage.order.map((other) => (other === identity ? quietest : other === quietest ? identity : other));
  return { ...stage, heard, order };
}

function withinPages(stage: Stage): Stage {
  return { ...stage, page: Math.min(Math.max(0, stage.page), pageCount(stage) - 1) };
}
