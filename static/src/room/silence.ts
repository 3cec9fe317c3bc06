/** Notices within two seconds that nothing arrives any more, long before the browser says so. */

import { Track } from "livekit-client";
import type { Room } from "livekit-client";

/** Two looks a second; three without a byte more are silence. */
const LOOK = 500;
const SILENT_AFTER = 1500;

interface Reporting {
  getRTCStatsReport(): Promise<RTCStatsReport | undefined>;
}

/** Tells when media that must be arriving stops and starts again; answers the way to stop. */
export function watchSilence(room: Room, onChange: (silent: boolean) => void): () => void {
  let bytes = 0;
  let heardAt = performance.now();
  let silent = false;

  async function look(): Promise<void> {
    const expected = expectedTracks(room);
    const reports = await Promise.all(expected.map((track) => track.getRTCStatsReport().catch(() => undefined)));
    const now = performance.now();
    const total = reports.reduce((sum, report) => sum + (report ? received(report) : 0), 0);
    if (expected.length === 0 || total !== bytes) heardAt = now;
    bytes = total;
    if (silent !== now - heardAt >= SILENT_AFTER) {
      silent = !silent;
      onChange(silent);
    }
  }

  const timer = setInterval(() => void look(), LOOK);
  return () => clearInterval(timer);
}

/** Tracks whose transport cannot be quiet: media that we receive, and video that we send (it draws feedback). */
function expectedTracks(room: Room): Reporting[] {
  const tracks: Reporting[] = [];
  for (const participant of room.remoteParticipants.values()) {
    for (const publication of participant.trackPublications.values()) {
      if (publication.track && !publication.isMuted && publication.kind === Track.Kind.Audio) return [publication.track];
      if (publication.track && !publication.isMuted) tracks.push(publication.track);
    }
  }
  if (tracks.length > 0) return tracks.slice(0, 2);
  for (const publication of room.localParticipant.videoTrackPublications.values()) {
    if (publication.track && !publication.isMuted) return [publication.track];
  }
  return [];
}

/** Bytes that arrived on the transport of a report (webrtc-stats: transport, or candidate-pair in Firefox). */
function received(report: RTCStatsReport): number {
  let bytes = 0;
  for (const entry of report.values() as Iterable<{ type: string; bytesReceived?: number }>) {
    if (entry.type === "transport" || entry.type === "candidate-pair") bytes += entry.bytesReceived ?? 0;
  }
  return bytes;
}
