import { expect, test } from "vitest";
import { arrivals, faultOf, NO_DEVICES, reduceDevices, type Devices, type DevicesEvent } from "../../src/state/devices";

function after(...events: DevicesEvent[]): Devices {
  return events.reduce(reduceDevices, NO_DEVICES);
}

test("takes over what was wanted and chosen last time", () => {
  const devices = after({
    type: "devices-remembered",
    wanted: { microphone: false, camera: true },
    chosen: { microphone: "m", camera: "c", speaker: "s" },
  });
  expect(devices.microphone).toMatchObject({ wanted: false, chosen: "m" });
  expect(devices.camera).toMatchObject({ wanted: true, chosen: "c" });
  expect(devices.speaker.chosen).toBe("s");
});

test("an open device means access, and has no fault any more", () => {
  const devices = after(
    { type: "devices-access", access: "prompt" },
    { type: "device-failed", kind: "camera", fault: "busy" },
    { type: "device-opening", kind: "camera" },
    { type: "device-opened", kind: "camera", id: "c2" },
  );
  expect(devices.access).toBe("granted");
  expect(devices.camera).toMatchObject({ opening: false, fault: null, chosen: "c2" });
});

test("a device that failed is off and says why, until it is tried again or let be", () => {
  const failed = after({ type: "device-opening", kind: "microphone" }, { type: "device-failed", kind: "microphone", fault: "refused" });
  expect(failed.microphone).toMatchObject({ wanted: false, opening: false, fault: "refused" });
  expect(reduceDevices(failed, { type: "device-opening", kind: "microphone" }).microphone.fault).toBeNull();
  expect(reduceDevices(failed, { type: "device-wanted", kind: "microphone", wanted: false }).microphone.fault).toBeNull();
});

test("lists and chooses devices by kind", () => {
  const devices = after(
    {
      type: "devices-listed",
      choosableSpeaker: true,
      lists: { microphone: [{ id: "m", label: "M" }], camera: [], speaker: [{ id: "s", label: "S" }] },
    },
    { type: "device-chosen", kind: "speaker", id: "s" },
    { type: "device-chosen", kind: "microphone", id: "m" },
  );
  expect(devices.microphone).toMatchObject({ chosen: "m", list: [{ id: "m", label: "M" }] });
  expect(devices.speaker).toMatchObject({ chosen: "s", choosable: true });
});

test.each([
  ["NotAllowedError", "Permission denied", "refused"],
  ["NotAllowedError", "Permission denied by system", "system"],
  ["SecurityError", "", "refused"],
  ["NotFoundError", "Requested device not found", "missing"],
  ["OverconstrainedError", "", "missing"],
  ["NotReadableError", "Could not start video source", "busy"],
  ["AbortError", "", "busy"],
  ["InsecureContext", "", "insecure"],
  ["TypeError", "", "unknown"],
] as const)("%s %j means %s", (name, message, fault) => {
  expect(faultOf(name, message)).toBe(fault);
});

test("names devices that were not there before, once labels are known", () => {
  const old = [{ id: "1", label: "Built-in" }];
  const added = { id: "2", label: "Headset" };
  expect(arrivals(old, [...old, added, { id: "default", label: "Default" }])).toEqual([added]);
  expect(arrivals([], [added])).toEqual([]);
  expect(arrivals([{ id: "1", label: "" }], [...old, added])).toEqual([]);
  expect(arrivals(old, [])).toEqual([]);
});
