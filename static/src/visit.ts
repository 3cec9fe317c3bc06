/** One visit to a meeting, from the preview to the page after it: what the buttons do. */

import { askToJoin, type Knock } from "./api";
import { Elsewhere } from "./elsewhere";
import { HostsLobby } from "./hostsLobby";
import { HostTools } from "./hostTools";
import { Newcomer } from "./newcomer";
import type { PageData } from "./page";
import { rememberInside, wasInside, writePreferences } from "./remembered";
import { canChooseSpeaker, faultIn, listDevices, onDevicesChanged, readAccess } from "./room/capture";
import { playChime, playKnock } from "./room/chime";
import { markJoin } from "./room/firstFrame";
import { LiveRoom, type Picture } from "./room/liveRoom";
import type { LevelListener } from "./room/level";
import { Preview } from "./room/preview";
import { isInside } from "./state/connection";
import { arrivals, type DeviceKind, type InputKind } from "./state/devices";
import { NOTHING_GIVEN, type Given } from "./state/given";
import { withPasscode } from "./state/links";
import { runsMeeting, selfOf } from "./state/people";
import type { Preferences } from "./state/preferences";
import { isSpeech, NO_VOICE, reduceVoice } from "./state/voice";
import type { Store } from "./store";
import { wait, withdraw, type Told } from "./waiting";

/** Who had to knock anew does not do so in a circle, ms. */
const KNOCK_AGAIN = 2000;
/** Knocks are heard no oftener, ms: a school class is no alarm bell. */
const KNOCKS_HEARD = 4000;

const INPUTS: readonly InputKind[] = ["microphone", "camera"];

export class Visit {
  private readonly preview: Preview;
  private room: LiveRoom | null = null;
  /** While this page waits before the meeting. */
  private waiting: { readonly knock: Knock; readonly stop: () => void } | null = null;
  /** While this page is a host's. */
  lobby: HostsLobby | null = null;
  private knockHeard = 0;
  readonly newcomer: Newcomer;
  readonly elsewhere: Elsewhere;
  private readonly levels = new Set<LevelListener>();
  private readonly cameras = new Set<() => void>();
  private opening: Promise<unknown> = Promise.resolve();
  private voice = NO_VOICE;
  /** Messages sent so far: their ids are of this page alone. */
  private said = 0;

  constructor(
    readonly page: PageData,
    readonly store: Store,
    private preferences: Preferences,
    private readonly given: Given = NOTHING_GIVEN,
  ) {
    this.newcomer = new Newcomer(page, given, preferences.name);
    this.elsewhere = new Elsewhere(page, store);
    this.preview = new Preview(
      (level) => this.heard(level),
      () => this.cameras.forEach((listener) => listener()),
    );
  }

  /** Looks for devices; opens them at once where the browser need not ask, and returns to a meeting after a reload. */
  async start(): Promise<void> {
    this.elsewhere.start();
    const { given, preferences } = this;
    const wanted = {
      microphone: given.microphone && preferences.wanted.microphone,
      camera: given.camera && preferences.wanted.camera,
    };
    this.store.dispatch({ type: "devices-remembered", wanted, chosen: preferences.chosen });
    onDevicesChanged(() => void this.listDevices(true));
    // Who joins at once waits for all of this, or would enter without the devices that open a moment later.
    this.opening = this.openAtStart();
    await this.opening;
    const { name } = this.newcomer;
    if (name === "" || this.store.state().connection.phase !== "before") return;
    if (wasInside(this.page.code)) await this.join(name);
    else if (!given.preview) this.comeIn({ name: "", ticket: "", passcode: "" });
  }

  /** Comes in without a click on this page, with what is given in place of what was; whether a name is known. */
  comeIn(given: Pick<Given, "name" | "ticket" | "passcode">): boolean {
    if (!this.newcomer.take(given)) return false;
    const { connection, devices } = this.store.state();
    if (connection.phase === "ended") void this.rejoin();
    else {
      // The entrance waits for what the browser is answered.
      if (devices.access === "prompt") void this.askForDevices();
      void this.join(this.newcomer.name);
    }
    return true;
  }

  /** From a click: the browser asks for what is wanted. */
  async askForDevices(): Promise<void> {
    await this.openWanted();
    await this.listDevices(false);
  }

  /** Turns the microphone or the camera on or off, before or inside. */
  async toggle(kind: InputKind): Promise<void> {
    const on = this.room ? this.isOn(kind) : this.store.state().devices[kind].wanted;
    await this.set(kind, !on);
  }

  async set(kind: InputKind, on: boolean): Promise<void> {
    if (on && this.room && !this.store.state().permitted[kind]) {
      this.store.dispatch({ type: "notice", body: { kind: "not-permitted", what: kind } });
      return;
    }
    this.store.dispatch({ type: "device-wanted", kind, wanted: on });
    this.remember({ wanted: { ...this.preferences.wanted, [kind]: on } });
    if (this.room) await this.setInside(this.room, kind, on);
    else if (on) await this.open(kind);
    else this.preview.close(kind);
  }

  async choose(kind: DeviceKind, id: string): Promise<void> {
    this.store.dispatch({ type: "device-chosen", kind, id });
    this.remember({ chosen: { ...this.preferences.chosen, [kind]: id } });
    if (this.room) {
      try {
        await this.room.switchDevice(kind, id);
      } catch (error) {
        if (kind !== "speaker") this.store.dispatch({ type: "device-failed", kind, fault: faultIn(error) });
      }
    } else if (kind !== "speaker" && this.store.state().devices[kind].wanted) {
      await this.open(kind);
    }
  }

  async testSpeaker(): Promise<void> {
    await playChime(this.store.state().devices.speaker.chosen);
  }

  /** Enters with what the preview has open, or waits to be let in. */
  async join(name: string, passcode = this.newcomer.passcode): Promise<void> {
    if (this.room !== null || this.store.state().connection.phase === "joining") return;
    markJoin();
    this.named(name);
    this.newcomer.passcode = passcode;
    this.store.dispatch({ type: "join-started" });
    this.acceptFaults();
    await this.ask();
  }

  /** The meeting's address to pass on; hosts pass the passcode on with it. */
  link(): string {
    const hosts = runsMeeting(selfOf(this.store.state().people));
    return hosts ? withPasscode(this.page.link, this.newcomer.passcode) : this.page.link;
  }

  private async ask(): Promise<void> {
    const [answer] = await Promise.all([askToJoin(this.page.code, this.newcomer.request()), this.opening]);
    // Who has left while the server thought about it comes in no more.
    if (this.store.state().connection.phase === "ended") return;
    if ("problem" in answer) {
      rememberInside(null);
      if (answer.problem.code === "ticket_refused") this.newcomer.dropTicket();
      this.store.dispatch({ type: "join-refused", problem: answer.problem });
      return;
    }
    this.newcomer.accepted();
    if ("knock" in answer) this.wait(answer.knock);
    else await this.enter(answer.entry.url, answer.entry.token);
  }

  private async enter(url: string, token: string): Promise<void> {
    const room = new LiveRoom(
      (event) => this.fromRoom(room, event),
      (level) => this.heard(level),
      () => void this.lobby?.refresh(),
      this.preferences.chosen,
    );
    this.room = room;
    const opened = this.preview.handOver();
    try {
      await room.join(url, token, opened);
      rememberInside(this.page.code);
    } catch {
      opened.microphone?.stop();
      opened.camera?.stop();
      this.room = null;
      this.store.dispatch({ type: "join-refused", problem: { code: "unreachable", detail: "" } });
      await this.openWanted();
    }
  }

  private wait(knock: Knock): void {
    // A reload knocks again as the same person, and keeps the place in the line.
    rememberInside(this.page.code);
    this.store.dispatch({ type: "wait-begun", reason: knock.reason });
    this.waiting = { knock, stop: wait(this.page.code, knock, (told) => this.told(told)) };
  }

  private told(told: Told): void {
    switch (told.kind) {
      case "waiting":
        this.store.dispatch({ type: "wait-told", reason: told.reason, message: told.message, startsAt: told.startsAt });
        return;
      case "shaken":
        this.store.dispatch({ type: "wait-shaken" });
        return;
      case "let-in":
        this.waiting = null;
        this.store.dispatch({ type: "let-in" });
        void this.ask();
        return;
      case "forgotten":
        this.waiting = null;
        setTimeout(() => {
          if (this.store.state().connection.phase === "waiting") void this.ask();
        }, KNOCK_AGAIN);
        return;
      case "refused":
      case "expired":
      case "over":
      case "cancelled":
        this.waiting = null;
        rememberInside(null);
        this.store.dispatch({ type: "ended", reason: told.kind });
    }
  }

  /** Waits no longer. */
  stopWaiting(): void {
    rememberInside(null);
    if (this.waiting) {
      this.waiting.stop();
      withdraw(this.page.code, this.waiting.knock);
      this.waiting = null;
    }
    this.store.dispatch({ type: "ended", reason: "withdrawn" });
  }

  async leave(): Promise<void> {
    rememberInside(null);
    const room = this.room;
    this.store.dispatch({ type: "ended", reason: "left" });
    await room?.leave();
  }

  /** Comes back after a loss or a change of mind, with the devices as they were. */
  async rejoin(): Promise<void> {
    const room = this.room;
    this.room = null;
    this.lobby?.stop();
    this.lobby = null;
    await room?.leave();
    if (this.store.state().devices.access === "granted") void this.openWanted();
    await this.join(this.newcomer.name);
  }

  async toggleShare(): Promise<void> {
    const self = selfOf(this.store.state().people);
    if (!this.room || !self) return;
    if (self.screen === null && !this.store.state().permitted.screen) {
      this.store.dispatch({ type: "notice", body: { kind: "not-permitted", what: "screen" } });
      return;
    }
    try {
      await this.room.setScreen(self.screen === null);
    } catch (error) {
      // Closing the browser's picker is an answer, not a failure.
      if (error instanceof Error && error.name === "NotAllowedError") return;
      this.store.dispatch({ type: "notice", body: { kind: "share-failed" } });
    }
  }

  /** Answers a host who asked for the microphone or the camera. */
  async answer(yes: boolean): Promise<void> {
    const { ask } = this.store.state();
    this.store.dispatch({ type: "ask-answered" });
    if (yes && ask !== null) await this.set(ask === "unmute" ? "microphone" : "camera", true);
  }

  /** Does what only hosts may, and says so where the server did not; whether it did. */
  async asHost(deed: (tools: HostTools) => Promise<boolean>): Promise<boolean> {
    const room = this.room;
    if (!room) return false;
    const done = await deed(new HostTools(this.page.code, () => room.token));
    if (!done) this.store.dispatch({ type: "notice", body: { kind: "host-failed" } });
    return done;
  }

  /** Goes, and leaves the meeting to somebody else. */
  async handOver(identity: string): Promise<void> {
    if (await this.asHost((tools) => tools.setRole(identity, "host"))) await this.leave();
  }

  /** Another name for this person; whether the server took it. */
  async rename(name: string): Promise<boolean> {
    try {
      await this.room?.rename(name);
    } catch {
      this.store.dispatch({ type: "notice", body: { kind: "host-failed" } });
      return false;
    }
    this.named(name);
    return true;
  }

  async say(text: string): Promise<void> {
    const self = selfOf(this.store.state().people);
    if (!this.room || !self) return;
    this.said += 1;
    const id = `own-${this.said}`;
    const { identity, name } = self;
    this.store.dispatch({
      type: "chat-received",
      message: { id, identity, name, own: true, text, at: Date.now(), state: "sending" },
    });
    try {
      await this.room.sendChat(text);
      this.store.dispatch({ type: "chat-sent", id, result: "sent" });
    } catch {
      this.store.dispatch({ type: "chat-sent", id, result: "failed" });
    }
  }

  /** Opens the microphone for as long as a key is held; only where it was muted. */
  async talk(holding: boolean): Promise<void> {
    const { talking, connection } = this.store.state();
    if (!this.room || talking === holding || !isInside(connection)) return;
    if (holding && (this.isOn("microphone") || !this.store.state().permitted.microphone)) return;
    this.store.dispatch({ type: "talking", talking: holding });
    await this.setInside(this.room, "microphone", holding);
  }

  async resumeSound(): Promise<void> {
    await this.room?.resumeSound();
  }

  showPicture(identity: string, picture: Picture, element: HTMLVideoElement): () => void {
    return this.room?.show(identity, picture, element) ?? (() => undefined);
  }

  /** Shows the own camera before entry, anew each time it opens. */
  showPreview(element: HTMLVideoElement): () => void {
    let stop = this.preview.show(element);
    const again = (): void => {
      stop();
      stop = this.preview.show(element);
    };
    this.cameras.add(again);
    return () => {
      this.cameras.delete(again);
      stop();
    };
  }

  /** Reports the level of the own microphone, 0 to 1, twenty times a second. */
  onLevel(listener: LevelListener): () => void {
    this.levels.add(listener);
    return () => this.levels.delete(listener);
  }

  remember(change: Partial<Preferences>): void {
    this.preferences = { ...this.preferences, ...change };
    writePreferences(this.preferences);
  }

  private named(name: string): void {
    this.newcomer.name = name;
    if (this.newcomer.choosesName) this.remember({ name });
  }

  private isOn(kind: InputKind): boolean {
    const self = selfOf(this.store.state().people);
    return kind === "microphone" ? self?.microphone === "on" : self?.camera !== null && self !== null;
  }

  /** Who goes in without a device was told why: inside it is simply off. */
  private acceptFaults(): void {
    const { devices } = this.store.state();
    for (const kind of INPUTS) {
      if (devices[kind].fault !== null) this.store.dispatch({ type: "device-wanted", kind, wanted: false });
    }
  }

  private async setInside(room: LiveRoom, kind: InputKind, on: boolean): Promise<void> {
    if (on) this.store.dispatch({ type: "device-opening", kind });
    try {
      await (kind === "microphone" ? room.setMicrophone(on) : room.setCamera(on));
      if (on) this.store.dispatch({ type: "device-opened", kind, id: this.store.state().devices[kind].chosen });
    } catch (error) {
      this.store.dispatch({ type: "device-failed", kind, fault: faultIn(error) });
    }
  }

  private async openAtStart(): Promise<void> {
    const access = await readAccess();
    this.store.dispatch({ type: "devices-access", access });
    if (access === "insecure") for (const kind of INPUTS) this.store.dispatch({ type: "device-failed", kind, fault: "insecure" });
    await this.listDevices(false);
    if (access === "granted") await this.openWanted();
  }

  private async openWanted(): Promise<void> {
    const { devices } = this.store.state();
    await Promise.all(INPUTS.filter((kind) => devices[kind].wanted).map((kind) => this.open(kind)));
  }

  private async open(kind: InputKind): Promise<void> {
    this.store.dispatch({ type: "device-opening", kind });
    const opened = this.preview.open(kind, this.store.state().devices[kind].chosen);
    this.opening = Promise.allSettled([this.opening, opened]);
    try {
      const id = await opened;
      if (id !== null) this.store.dispatch({ type: "device-opened", kind, id });
    } catch (error) {
      this.store.dispatch({ type: "device-failed", kind, fault: faultIn(error) });
    }
  }

  private async listDevices(changed: boolean): Promise<void> {
    const before = this.store.state().devices;
    const lists = await listDevices();
    this.store.dispatch({ type: "devices-listed", lists, choosableSpeaker: canChooseSpeaker() });
    if (!changed) return;
    for (const kind of INPUTS) {
      if (before[kind].fault !== "missing" || lists[kind].length === 0) continue;
      // Before the meeting it opens by itself, as the message promised; inside nobody is shown without a click.
      if (this.room) this.store.dispatch({ type: "device-wanted", kind, wanted: false });
      else void this.set(kind, true);
    }
    for (const device of ["microphone", "camera", "speaker"] as const) {
      const { chosen, list } = before[device];
      const [arrived] = arrivals(list, lists[device]);
      if (arrived && (device !== "speaker" || canChooseSpeaker())) {
        this.store.dispatch({ type: "notice", body: { kind: "device-arrived", device, deviceId: arrived.id, label: arrived.label } });
      }
      const gone = chosen !== "" && list.some(({ id }) => id === chosen) && !lists[device].some(({ id }) => id === chosen);
      if (gone) {
        this.store.dispatch({ type: "notice", body: { kind: "device-gone", device } });
        await this.choose(device, lists[device][0]?.id ?? "");
      }
    }
  }

  private fromRoom(room: LiveRoom, event: Parameters<Store["dispatch"]>[0]): void {
    // A room that was given up has nothing more to say.
    if (this.room !== room) return;
    this.store.dispatch(event);
    this.watchLobby(room, event.type === "connection-restored");
    // Whoever was muted by a host comes back muted after a loss.
    if (event.type === "notice" && event.body.kind === "muted-by-host") {
      this.store.dispatch({ type: "device-wanted", kind: "microphone", wanted: false });
    }
    if (event.type !== "ended") return;
    this.room = null;
    this.watchLobby(room, false);
    // After a loss, and when the page goes away, a reload may bring the visit back.
    if (event.reason !== "lost" && event.reason !== "left") rememberInside(null);
  }

  /** Hosts are told who waits; somebody may become one, or be one no longer, at any time. */
  private watchLobby(room: LiveRoom, anew: boolean): void {
    const { people, connection } = this.store.state();
    const hosts = this.room === room && isInside(connection) && runsMeeting(selfOf(people));
    if (!hosts) {
      this.lobby?.stop();
      this.lobby = null;
    } else if (this.lobby === null) {
      this.lobby = new HostsLobby(this.page.code, this.store, () => room.token, () => this.knocked());
      void this.lobby.refresh();
    } else if (anew) {
      void this.lobby.refresh();
    }
  }

  private knocked(): void {
    const now = performance.now();
    // What others hear of a shared tab must not knock.
    const sharing = (selfOf(this.store.state().people)?.screen ?? null) !== null;
    if (sharing || now - this.knockHeard < KNOCKS_HEARD) return;
    this.knockHeard = now;
    void playKnock(this.store.state().devices.speaker.chosen).catch(() => undefined);
  }

  private heard(level: number): void {
    for (const listener of this.levels) listener(level);
    const muted = this.room !== null && !this.isOn("microphone");
    this.voice = muted ? reduceVoice(this.voice, level, performance.now()) : NO_VOICE;
    if (isSpeech(this.voice)) this.store.dispatch({ type: "spoke-while-muted" });
  }
}
