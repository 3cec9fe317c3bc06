/** The lobby for a host inside: asks who waits whenever the server says that it changed, and decides. */

import { askInside, field, pathOf } from "./api";
import { newcomers, peopleIn } from "./state/lobby";
import type { Store } from "./store";

/** A question that failed is asked again after so long, ms. */
const RETRY = 5000;

export class HostsLobby {
  private asking = false;
  private askAgain = false;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private stopped = false;

  /** `token` is the access token of now; `arrived` is called when somebody new waits. */
  constructor(
    private readonly code: string,
    private readonly store: Store,
    private readonly token: () => string,
    private readonly arrived: () => void,
  ) {}

  /** Asks who waits; while a question is under way, once more after it. */
  async refresh(): Promise<void> {
    this.askAgain = this.asking;
    if (this.asking || this.stopped) return;
    this.asking = true;
    clearTimeout(this.timer);
    const answered = await this.request("GET", "");
    this.asking = false;
    if (this.askAgain) void this.refresh();
    else if (!answered) this.timer = setTimeout(() => void this.refresh(), RETRY);
  }

  async admit(id: string): Promise<void> {
    await this.decide([id], `/${id}/admit`);
  }

  async refuse(id: string): Promise<void> {
    await this.decide([id], `/${id}/refuse`);
  }

  async admitAll(): Promise<void> {
    await this.decide(this.store.state().lobby.waiting.map(({ id }) => id), "/admit-all");
  }

  /** Says something to all who wait; "" takes it back. */
  async say(text: string): Promise<boolean> {
    return this.request("POST", "/message", { text });
  }

  stop(): void {
    this.stopped = true;
    clearTimeout(this.timer);
    this.store.dispatch({ type: "lobby-found", waiting: [], message: "" });
  }

  private async decide(ids: readonly string[], path: string): Promise<void> {
    this.store.dispatch({ type: "lobby-deciding", ids });
    if (await this.request("POST", path)) return;
    this.store.dispatch({ type: "lobby-undecided", ids });
    // Another host may have been faster, or the person has gone: then the list says so.
    void this.refresh();
  }

  /** Whether the server answered with the lobby as it is now. */
  private async request(method: string, path: string, body?: object): Promise<boolean> {
    try {
      const response = await askInside(method, `${pathOf(this.code)}/lobby${path}`, this.token(), body);
      if (!response.ok) return false;
      this.found(await response.json());
      return true;
    } catch {
      return false;
    }
  }

  private found(body: unknown): void {
    if (this.stopped) return;
    const before = this.store.state().lobby.waiting;
    const waiting = peopleIn(body, "waiting");
    this.store.dispatch({ type: "lobby-found", waiting, message: field(body, "message") });
    if (newcomers(before, waiting).length > 0) this.arrived();
  }
}
