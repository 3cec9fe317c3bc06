/** Lets pictures wait a little on paths that lose packets, so that they do not freeze until the repair comes. */

import { Track } from "livekit-client";
import type { RemoteTrack, Room } from "livekit-client";
import { nextWait, receiptOf } from "../state/patience";
import type { Receipt } from "../state/patience";

/** Often enough to notice a bad path before it annoys, in ms. */
const LOOK = 2000;

interface Watched {
  readonly receipt: Receipt;
  readonly wait: number;
}

/** Begins; answers the way to stop. */
export function waitForRepairs(room: Room): () => void {
  let watched = new Map<RemoteTrack, Watched>();

  async function look(): Promise<void> {
    const next = new Map<RemoteTrack, Watched>();
    for (const track of pictures(room)) {
      const report = await track.getRTCStatsReport().catch(() => undefined);
      const receipt = report && receiptOf(report);
      if (!receipt) continue;
      const before = watched.get(track);
      const wait = before ? nextWait(before.wait, before.receipt, receipt) : 0;
      if (before && wait !== before.wait) track.setPlayoutDelay(wait);
      next.set(track, { receipt, wait });
    }
    watched = next;
  }

  const timer = setInterval(() => void look(), LOOK);
  return () => clearInterval(timer);
}

function pictures(room: Room): RemoteTrack[] {
  const tracks: RemoteTrack[] = [];
  for (const participant of room.remoteParticipants.values()) {
    for (const { track } of participant.videoTrackPublications.values()) {
      // Where the browser cannot wait, it is not asked to.
      if (track?.kind === Track.Kind.Video && track.receiver && "playoutDelayHint" in track.receiver) tracks.push(track);
    }
  }
  return tracks;
}
