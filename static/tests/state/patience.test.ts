import { describe, expect, it } from "vitest";
import { nextWait, type Receipt } from "../../src/state/patience";

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
