import { describe, expect, it } from "vitest";
import { nextWait, type Receipt, receiptOf, type StatsEntry } from "../../src/state/patience";

function receipt(packets: number, requests: number, roundTrip = 0.1): Receipt {
  return { packets, requests, roundTrip };
}

describe("how long a picture waits", () => {
  it("is for a frame and two round trips where packets must be asked for again", () => {
    expect(nextWait(0, receipt(1000, 0, 0.05), receipt(2000, 50, 0.05))).toBeCloseTo(0.17);
  });

  it("has a bound, for lips and voices belong together", () => {
    expect(nextWait(0, receipt(0, 0, 2), receipt(1000, 300, 2))).toBe(0.25);
  });

  it("is nothing where nothing is lost, or hardly anything", () => {
    expect(nextWait(0, receipt(0, 0), receipt(1000, 0))).toBe(0);
    expect(nextWait(0, receipt(0, 0), receipt(1000, 10))).toBe(0);
    expect(nextWait(0, receipt(1000, 0), receipt(1000, 0))).toBe(0);
  });

  it("ends softly when the loss does", () => {
    let wait = 0.2;
    const waits: number[] = [];
    for (let look = 0; look < 10; look += 1) {
      wait = nextWait(wait, receipt(1000, 0), receipt(2000, 0));
      waits.push(wait);
    }
    expect(waits[0]).toBeCloseTo(0.14);
    expect(waits.at(-1)).toBe(0);
  });
});

describe("what a report counts", () => {
  const inbound: StatsEntry = { id: "IT", type: "inbound-rtp", packetsReceived: 900, nackCount: 30 };
  const slow: StatsEntry = { id: "CP1", type: "candidate-pair", nominated: true, currentRoundTripTime: 0.4 };
  const fast: StatsEntry = { id: "CP2", type: "candidate-pair", nominated: true, currentRoundTripTime: 0.05 };
  const transport: StatsEntry = { id: "T", type: "transport", selectedCandidatePairId: "CP2" };

  function report(...entries: StatsEntry[]): Map<string, StatsEntry> {
    return new Map(entries.map((entry) => [entry.id, entry]));
  }

  it("has the round trip of the pair that the transport has selected, whatever comes last", () => {
    const expected = { packets: 900, requests: 30, roundTrip: 0.05 };
    expect(receiptOf(report(inbound, transport, fast, slow))).toEqual(expected);
    expect(receiptOf(report(slow, fast, transport, inbound))).toEqual(expected);
  });

  it("has that of the pair in use in Firefox, which reports no transport", () => {
    const former = { ...slow, selected: false };
    const pending = { ...slow, id: "CP3", nominated: false, selected: true };
    const used = { ...fast, selected: true };
    expect(receiptOf(report(inbound, former, used, pending))?.roundTrip).toBe(0.05);
  });

  it("has no round trip where no pair is in use", () => {
    expect(receiptOf(report(inbound, slow, fast))?.roundTrip).toBe(0);
    expect(receiptOf(report(inbound, { ...transport, selectedCandidatePairId: "gone" }))?.roundTrip).toBe(0);
  });

  it("is nothing before anything has come", () => {
    expect(receiptOf(report(transport, fast))).toBeUndefined();
  });
});
