/** Reads a Person from a participant of livekit-client. */

import { ConnectionQuality, Track } from "livekit-client";
import type { LocalParticipant, Participant } from "livekit-client";
import type { Person, Quality, Role } from "../state/people";
import { ALL_PERMITTED, type Permitted } from "../state/rules";

/** The server's own attribute; participants cannot set it. */
const ROLE_ATTRIBUTE = "veche.role";

export function personOf(participant: Participant): Person {
  const microphone = participant.getTrackPublication(Track.Source.Microphone);
  return {
    identity: participant.identity,
    name: participant.name === undefined || participant.name === "" ? participant.identity : participant.name,
    self: participant.isLocal,
    role: roleOf(participant.attributes[ROLE_ATTRIBUTE]),
    microphone: microphone === undefined ? "none" : microphone.isMuted ? "muted" : "on",
    camera: shownTrack(participant, Track.Source.Camera),
    paused: participant.getTrackPublication(Track.Source.Camera)?.track?.streamState === Track.StreamState.Paused,
    screen: shownTrack(participant, Track.Source.ScreenShare),
    quality: qualityOf(participant.connectionQuality),
    joinedAt: participant.joinedAt?.getTime() ?? 0,
  };
}

/** What the server lets this page publish: all where it says nothing yet. */
export function permittedTo({ permissions }: LocalParticipant): Permitted {
  if (permissions === undefined) return ALL_PERMITTED;
  const { canPublish, canPublishSources: sources } = permissions;
  const may = (source: Track.Source): boolean => canPublish && (sources.length === 0 || sources.includes(Track.sourceToProto(source)));
  return { microphone: may(Track.Source.Microphone), camera: may(Track.Source.Camera), screen: may(Track.Source.ScreenShare) };
}

/** Id of a track that is on; for other people's tracks it changes once the track is there to be shown. */
function shownTrack(participant: Participant, source: Track.Source): string | null {
  const publication = participant.getTrackPublication(source);
  if (publication === undefined || publication.isMuted) return null;
  return `${publication.trackSid}${publication.track ? "+" : ""}`;
}

function roleOf(attribute: string | undefined): Role {
  return attribute === "host" || attribute === "cohost" ? attribute : "attendee";
}

function qualityOf(quality: ConnectionQuality): Quality {
  switch (quality) {
    case ConnectionQuality.Excellent:
    case ConnectionQuality.Good:
      return "good";
    case ConnectionQuality.Poor:
      return "poor";
    case ConnectionQuality.Lost:
      return "lost";
    case ConnectionQuality.Unknown:
      return "unknown";
  }
}
