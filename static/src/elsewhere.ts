/** Who waits before other meetings of a host who is busy with this one: hears of it, and decides. */

import { pathOf } from "./api";
import { listenToDoorbell } from "./doorbell";
import type { PageData } from "./page";
import type { Store } from "./store";

/** For an answer, ms. */
const PATIENCE = 15_000;

export class Elsewhere {
  constructor(
    private readonly page: PageData,
    private readonly store: Store,
  ) {}

  /** Listens where somebody is signed in: on the meeting's own page, as no cookie counts on other sites'. */
  start(): void {
    if (this.page.name === "" || this.page.origins !== null) return;
    listenToDoorbell((all) => {
      // Of this meeting the room itself tells.
      const meetings = all.filter(({ code }) => code !== this.page.code);
      this.store.dispatch({ type: "elsewhere-found", meetings });
    });
  }

  async admit(code: string, id: string): Promise<void> {
    await this.decide(code, id, "admit");
  }

  async refuse(code: string, id: string): Promise<void> {
    await this.decide(code, id, "refuse");
  }

  private async decide(code: string, id: string, word: "admit" | "refuse"): Promise<void> {
    this.store.dispatch({ type: "elsewhere-deciding", id });
    if (await this.send(`${pathOf(code)}/lobby/${encodeURIComponent(id)}/${word}`)) return;
    this.store.dispatch({ type: "elsewhere-undecided", id });
    this.store.dispatch({ type: "notice", body: { kind: "host-failed" } });
  }

  /** By the account that is signed in: the token of this meeting is good for this meeting. */
  private async send(path: string): Promise<boolean> {
    try {
      const response = await fetch(path, { method: "POST", headers: { accept: "application/json" }, signal: AbortSignal.timeout(PATIENCE) });
      // Another host was faster, or the person has gone: the stream tells.
      return response.ok || response.status === 404;
    } catch {
      return false;
    }
  }
}
