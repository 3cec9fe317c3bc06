/** One connection to a room: livekit-client behind a small face that speaks in our events. */

import {
  ConnectionError,
  ConnectionErrorReason,
  ConnectionState,
  DefaultReconnectPolicy,
  DisconnectReason,
  RemoteAudioTrack,
  Room,
  RoomEvent,
  ScreenSharePresets,
  Track,
} from "livekit-client";
import type { LocalTrack, Participant, RemoteTrack, TrackPublication } from "livekit-client";
import type { EndReason } from "../state/connection";
import type { DeviceKind } from "../state/devices";
import type { MeetingEvent } from "../state/meeting";
import { readAsk, readRules } from "../state/rules";
import { AUDIO, VIDEO, browserKind, wish } from "./capture";
import { receiveChat, sendChat } from "./chat";
import { markFirstFrame } from "./firstFrame";
import { watchLevel, type LevelListener } from "./level";
import { waitForRepairs } from "./patience";
import type { Opened } from "./preview";
import { watchSilence } from "./silence";
import { permittedTo, personOf } from "./snapshot";
import { Sound } from "./sound";

/** Which of a person's pictures. */
export type Picture = "camera" | "screen";

/** Pauses before attempts to come back, ms: at once at first, then for three minutes, longer than a server restarts. */
const RETRIES = [0, 300, 1200, 2700, ...Array<number>(36).fill(5000)];

/**
 * How long each attempt to enter waits for its WebSocket, ms. TCP repeats what a handshake lost after ever longer pauses:
 * a new connection is sooner through. The last is for networks that are merely slow.
 */
const ATTEMPTS = [5000, 5000, 10_000];

/** What another attempt may help against. */
const WORTH_RETRYING = [ConnectionErrorReason.Timeout, ConnectionErrorReason.ServerUnreachable, ConnectionErrorReason.WebSocket];

/** By a data packet on this topic the server tells hosts that the lobby has changed. */
const LOBBY_TOPIC = "veche.lobby";
/** By one on this topic a host asks this person for something. */
const ASK_TOPIC = "veche.ask";

/** What shakes a connection: any of them is enough. */
type Trouble = "signal" | "media" | "silence" | "offline";

export class LiveRoom {
  private readonly room: Room;
  private readonly sound = new Sound();
  private readonly troubles = new Set<Trouble>();
  private readonly stops: (() => void)[] = [];
  private stopLevel: (() => void) | null = null;
  /** Set while this page itself mutes, to tell it from being muted by a host. */
  private muting = false;
  /** While attempts to enter go on, the end of one is not the end of the meeting. */
  private entering = false;
  /** The access token of now: the server renews it. */
  token = "";

  constructor(
    private readonly emit: (event: MeetingEvent) => void,
    private readonly onLevel: LevelListener,
    private readonly onLobby: () => void,
    chosen: Readonly<Record<DeviceKind, string>>,
  ) {
    this.room = new Room({
      adaptiveStream: true,
      dynacast: true,
      disconnectOnPageLeave: true,
      reconnectPolicy: new DefaultReconnectPolicy(RETRIES),
      audioCaptureDefaults: { ...AUDIO, ...wish(chosen.microphone) },
      videoCaptureDefaults: { ...VIDEO, ...wish(chosen.camera) },
      publishDefaults: {
        videoCodec: "vp8",
        simulcast: true,
        screenShareEncoding: ScreenSharePresets.h1080fps15.encoding,
      },
      audioOutput: chosen.speaker === "" ? {} : { deviceId: chosen.speaker },
    });
    this.listen();
    receiveChat(this.room, (message) => this.emit({ type: "chat-received", message }));
  }

  /** Connects, then publishes the tracks of the preview. Rejects if the server can't be reached or refuses. */
  async join(url: string, token: string, opened: Opened): Promise<void> {
    this.token = token;
    await this.enter(url, token);
    this.room.engine.on("tokenRefreshed", (renewed) => {
      this.token = renewed;
    });
    // After it has joined anew, livekit-client says that it is back and waits on for two seconds whether its connection is
    // steady. What happens in them it knows of, but it keeps the events back for ever.
    this.room.engine.on("restarted", () => this.replaceAll());
    this.replaceAll();
    this.emit({ type: "connected" });
    this.emitSoundBlocked();
    this.stops.push(watchSilence(this.room, (silent) => this.trouble("silence", silent)));
    this.stops.push(waitForRepairs(this.room));
    const tracks: LocalTrack[] = [opened.microphone, opened.camera].filter((track) => track !== null);
    await Promise.allSettled(tracks.map((track) => this.room.localParticipant.publishTrack(track)));
  }

  private async enter(url: string, token: string): Promise<void> {
    this.entering = true;
    try {
      for (const [number, websocketTimeout] of ATTEMPTS.entries()) {
        try {
          await this.room.connect(url, token, { websocketTimeout });
          return;
        } catch (error) {
          const again = error instanceof ConnectionError && WORTH_RETRYING.includes(error.reason as ConnectionErrorReason);
          if (!again || number + 1 === ATTEMPTS.length) throw error;
        }
      }
    } catch (error) {
      this.release();
      throw error;
    } finally {
      this.entering = false;
    }
  }

  async leave(): Promise<void> {
    await this.room.disconnect();
  }

  /** Throws what getUserMedia throws. */
  async setMicrophone(on: boolean): Promise<void> {
    this.muting = true;
    try {
      await this.room.localParticipant.setMicrophoneEnabled(on);
    } finally {
      this.muting = false;
    }
  }

  /** Throws what getUserMedia throws. */
  async setCamera(on: boolean): Promise<void> {
    await this.room.localParticipant.setCameraEnabled(on);
  }

  /** Throws what getDisplayMedia throws. */
  async setScreen(on: boolean): Promise<void> {
    await this.room.localParticipant.setScreenShareEnabled(on, {
      audio: true,
      contentHint: "detail",
      selfBrowserSurface: "exclude",
      surfaceSwitching: "include",
      systemAudio: "include",
    });
  }

  async switchDevice(kind: DeviceKind, id: string): Promise<void> {
    await this.room.switchActiveDevice(browserKind(kind), id === "" ? "default" : id, id !== "");
  }

  /** Rejects where the server does not allow it. */
  async rename(name: string): Promise<void> {
    await this.room.localParticipant.setName(name);
  }

  async sendChat(text: string): Promise<void> {
    await sendChat(this.room, text);
  }

  /** Plays what the browser held back; has to be called from a click. */
  async resumeSound(): Promise<void> {
    await this.room.startAudio();
  }

  /** Shows a person's picture in a video element; answers the way to stop. */
  show(identity: string, picture: Picture, element: HTMLVideoElement): () => void {
    const participant = this.room.getParticipantByIdentity(identity);
    const source = picture === "camera" ? Track.Source.Camera : Track.Source.ScreenShare;
    const track = participant?.getTrackPublication(source)?.track;
    if (track === undefined) return () => undefined;
    if (participant?.isLocal === false) markFirstFrame(element);
    track.attach(element);
    return () => track.detach(element);
  }

  private listen(): void {
    const { room } = this;
    const changed = (participant: Participant): void => this.changed(participant);
    room
      .on(RoomEvent.ParticipantConnected, changed)
      .on(RoomEvent.ParticipantDisconnected, ({ identity }) => this.emit({ type: "person-left", identity }))
      .on(RoomEvent.ParticipantNameChanged, (_name, participant) => changed(participant))
      .on(RoomEvent.ParticipantAttributesChanged, (_changes, participant) => changed(participant))
      .on(RoomEvent.ConnectionQualityChanged, (_quality, participant) => changed(participant))
      .on(RoomEvent.TrackPublished, (_publication, participant) => changed(participant))
      .on(RoomEvent.TrackUnpublished, (_publication, participant) => changed(participant))
      .on(RoomEvent.TrackSubscribed, (track, _publication, participant) => {
        if (track.kind === Track.Kind.Audio) this.sound.add(track);
        changed(participant);
      })
      .on(RoomEvent.TrackUnsubscribed, (track: RemoteTrack, _publication, participant) => {
        if (track.kind === Track.Kind.Audio) this.sound.remove(track);
        changed(participant);
      })
      .on(RoomEvent.TrackMuted, (publication, participant) => this.muted(publication, participant))
      .on(RoomEvent.TrackStreamStateChanged, (_publication, _state, participant) => changed(participant))
      .on(RoomEvent.TrackUnmuted, (_publication, participant) => changed(participant))
      .on(RoomEvent.LocalTrackPublished, (publication) => this.published(publication))
      .on(RoomEvent.LocalTrackUnpublished, (publication) => this.unpublished(publication))
      .on(RoomEvent.ActiveSpeakersChanged, (speakers) =>
        this.emit({ type: "speakers-heard", identities: speakers.map((speaker) => speaker.identity) }),
      )
      .on(RoomEvent.DataReceived, (payload, sender, _kind, topic) => {
        // What has a sender is another participant's.
        if (sender !== undefined) return;
        if (topic === LOBBY_TOPIC) this.onLobby();
        const ask = topic === ASK_TOPIC ? readAsk(new TextDecoder().decode(payload)) : null;
        if (ask !== null) this.emit({ type: "asked", ask });
      })
      .on(RoomEvent.RoomMetadataChanged, () => this.emitRules())
      .on(RoomEvent.ParticipantPermissionsChanged, (_before, participant) => {
        if (participant.isLocal) this.emitRules();
      })
      .on(RoomEvent.AudioPlaybackStatusChanged, () => this.emitSoundBlocked())
      .on(RoomEvent.ConnectionStateChanged, (state) => {
        this.trouble("signal", state === ConnectionState.SignalReconnecting);
        this.trouble("media", state === ConnectionState.Reconnecting);
      })
      .on(RoomEvent.Reconnected, () => this.replaceAll())
      .on(RoomEvent.Disconnected, (reason) => this.ended(reason));
    const offline = (): void => this.trouble("offline", !navigator.onLine);
    window.addEventListener("offline", offline);
    window.addEventListener("online", offline);
    this.stops.push(() => {
      window.removeEventListener("offline", offline);
      window.removeEventListener("online", offline);
    });
  }

  /** Tells of everybody, and plays all that they say. */
  private replaceAll(): void {
    const everybody = this.participants();
    const tracks = everybody.flatMap((participant) => [...participant.audioTrackPublications.values()].map(({ track }) => track));
    this.sound.replace(tracks.filter((track) => track instanceof RemoteAudioTrack));
    this.emit({ type: "people-replaced", people: everybody.map(personOf) });
    this.emitRules();
  }

  private participants(): Participant[] {
    const others = [...this.room.remoteParticipants.values()];
    others.sort((a, b) => (a.joinedAt?.getTime() ?? 0) - (b.joinedAt?.getTime() ?? 0));
    return [this.room.localParticipant, ...others];
  }

  private changed(participant: Participant): void {
    // Before the connection stands, the whole list comes with it.
    if (participant.identity !== "" && this.room.state !== ConnectionState.Connecting) {
      this.emit({ type: "person-changed", person: personOf(participant) });
    }
  }

  private muted(publication: TrackPublication, participant: Participant): void {
    const byOther = participant.isLocal && publication.source === Track.Source.Microphone && !this.muting;
    if (byOther) this.emit({ type: "notice", body: { kind: "muted-by-host" } });
    this.changed(participant);
  }

  private published(publication: TrackPublication): void {
    const track = publication.track;
    if (publication.source === Track.Source.Microphone && track) {
      const watch = (): void => {
        this.stopLevel?.();
        this.stopLevel = watchLevel(track.mediaStreamTrack, this.onLevel);
      };
      track.on("restarted", watch);
      watch();
    }
    this.changed(this.room.localParticipant);
  }

  private unpublished(publication: TrackPublication): void {
    if (publication.source === Track.Source.Microphone) {
      this.stopLevel?.();
      this.stopLevel = null;
    }
    this.changed(this.room.localParticipant);
  }

  private emitRules(): void {
    this.emit({ type: "rules-changed", rules: readRules(this.room.metadata) });
    this.emit({ type: "permitted", permitted: permittedTo(this.room.localParticipant) });
  }

  private emitSoundBlocked(): void {
    this.emit({ type: "sound-blocked", blocked: !this.room.canPlaybackAudio });
  }

  private trouble(trouble: Trouble, present: boolean): void {
    const before = this.troubles.size > 0;
    if (present) this.troubles.add(trouble);
    else this.troubles.delete(trouble);
    const now = this.troubles.size > 0;
    if (now !== before) this.emit({ type: now ? "connection-shaken" : "connection-restored" });
  }

  private ended(reason: DisconnectReason | undefined): void {
    if (this.entering) return;
    this.release();
    this.emit({ type: "ended", reason: END_REASONS.get(reason) ?? "lost" });
  }

  private release(): void {
    for (const stop of this.stops.splice(0)) stop();
    this.stopLevel?.();
    this.stopLevel = null;
    this.sound.removeAll();
  }
}

/** Reasons that are somebody's will; every other one is a loss. */
const END_REASONS = new Map<DisconnectReason | undefined, EndReason>([
  [DisconnectReason.CLIENT_INITIATED, "left"],
  [DisconnectReason.DUPLICATE_IDENTITY, "duplicate"],
  [DisconnectReason.PARTICIPANT_REMOVED, "removed"],
  [DisconnectReason.ROOM_DELETED, "ended"],
  [DisconnectReason.ROOM_CLOSED, "ended"],
]);
