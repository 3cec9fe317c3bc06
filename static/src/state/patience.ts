/** How long a picture waits before it is shown, so that what was lost on the way can be sent again in time. */

/** What a receiver counts, in all, and the round trip of its path in seconds. */
export interface Receipt {
  readonly packets: number;
  readonly requests: number;
  readonly roundTrip: number;
}

/** What is read of an entry of webrtc-stats. */
export interface StatsEntry {
  readonly id: string;
  readonly type: string;
  readonly packetsReceived?: number;
  readonly nackCount?: number;
  readonly currentRoundTripTime?: number;
  readonly selectedCandidatePairId?: string;
  readonly nominated?: boolean;
  /** Of a candidate pair, in Firefox alone. */
  readonly selected?: boolean;
}

/** Requests for so small a part of the packets are no loss worth waiting for. */
const LOSSY = 0.02;
/** A request and its answer take one round trip, and the next chance another. */
const ROUND_TRIPS = 2;
/** What the end of a frame lacks shows only when the next frame comes, in seconds. */
const NOTICED = 0.07;
/** Longer than this lips and voices fall apart, in seconds. */
const LONGEST = 0.25;
/** What is left of the wait after each look without loss: it ends softly, for the loss may come back. */
const FALL = 0.7;
/** A shorter wait is none, in seconds. */
const SHORTEST = 0.02;

/** The wait in seconds, from the one before and what was counted between two looks. */
export function nextWait(wait: number, before: Receipt, now: Receipt): number {
  const packets = now.packets - before.packets;
  const isLossy = packets > 0 && (now.requests - before.requests) / packets > LOSSY;
  const wanted = isLossy ? Math.min(NOTICED + ROUND_TRIPS * now.roundTrip, LONGEST) : 0;
  const next = Math.max(wanted, wait * FALL);
  return next < SHORTEST ? 0 : next;
}

/** What a video receiver counted, and the round trip of the pair in use; nothing before anything has come. */
export function receiptOf(report: ReadonlyMap<string, StatsEntry>): Receipt | undefined {
  const entries = [...report.values()];
  const counted = entries.find((entry) => entry.type === "inbound-rtp");
  const roundTrip = pairInUse(report, entries)?.currentRoundTripTime ?? 0;
  return counted && { packets: counted.packetsReceived ?? 0, requests: counted.nackCount ?? 0, roundTrip };
}

/** The one that the transport has selected; Firefox reports no transport, and marks the pair. */
function pairInUse(report: ReadonlyMap<string, StatsEntry>, entries: readonly StatsEntry[]): StatsEntry | undefined {
  const selected = entries.find((entry) => entry.type === "transport")?.selectedCandidatePairId;
  if (selected !== undefined) return report.get(selected);
  return entries.find((entry) => entry.type === "candidate-pair" && entry.nominated && entry.selected);
}
