/** Microphone, camera and speaker: what is there, what is chosen, what is wanted, what went wrong. */

export type InputKind = "microphone" | "camera";
export type DeviceKind = InputKind | "speaker";

/** `refused` by the person or the browser, `system` by the operating system. */
export type Fault = "refused" | "system" | "missing" | "busy" | "insecure" | "unknown";

export interface Device {
  readonly id: string;
  readonly label: string;
}

export interface Input {
  /** The person wants it on. */
  readonly wanted: boolean;
  readonly opening: boolean;
  readonly fault: Fault | null;
  /** Id of the chosen device; "" leaves the choice to the browser. */
  readonly chosen: string;
  readonly list: readonly Device[];
}

export interface Devices {
  /** Whether the browser lets this page use devices: `prompt` means that it would ask. */
  readonly access: "unknown" | "prompt" | "granted" | "insecure";
  readonly microphone: Input;
  readonly camera: Input;
  readonly speaker: { readonly chosen: string; readonly list: readonly Device[]; readonly choosable: boolean };
}

export type DevicesEvent =
  | { readonly type: "devices-remembered"; readonly wanted: Record<InputKind, boolean>; readonly chosen: Record<DeviceKind, string> }
  | { readonly type: "devices-access"; readonly access: Devices["access"] }
  | {
      readonly type: "devices-listed";
      readonly lists: Record<DeviceKind, readonly Device[]>;
      readonly choosableSpeaker: boolean;
    }
  | { readonly type: "device-wanted"; readonly kind: InputKind; readonly wanted: boolean }
  | { readonly type: "device-opening"; readonly kind: InputKind }
  | { readonly type: "device-opened"; readonly kind: InputKind; readonly id: string }
  | { readonly type: "device-failed"; readonly kind: InputKind; readonly fault: Fault }
  | { readonly type: "device-chosen"; readonly kind: DeviceKind; readonly id: string };

const NO_INPUT: Input = { wanted: true, opening: false, fault: null, chosen: "", list: [] };
export const NO_DEVICES: Devices = {
  access: "unknown",
  microphone: NO_INPUT,
  camera: NO_INPUT,
  speaker: { chosen: "", list: [], choosable: false },
};

export function reduceDevices(devices: Devices, event: DevicesEvent): Devices {
  switch (event.type) {
    case "devices-remembered":
      return {
        ...devices,
        microphone: { ...devices.microphone, wanted: event.wanted.microphone, chosen: event.chosen.microphone },
        camera: { ...devices.camera, wanted: event.wanted.camera, chosen: event.chosen.camera },
        speaker: { ...devices.speaker, chosen: event.chosen.speaker },
      };
    case "devices-access":
      return { ...devices, access: event.access };
    case "devices-listed":
      return {
        ...devices,
        microphone: listed(devices.microphone, event.lists.microphone),
        camera: listed(devices.camera, event.lists.camera),
        speaker: { ...devices.speaker, list: event.lists.speaker, choosable: event.choosableSpeaker },
      };
    case "device-wanted":
      return withInput(devices, event.kind, { wanted: event.wanted, fault: null });
    case "device-opening":
      return withInput(devices, event.kind, { opening: true, fault: null });
    case "device-opened":
      return { ...withInput(devices, event.kind, { opening: false, fault: null, chosen: event.id }), access: "granted" };
    case "device-failed":
      return withInput(devices, event.kind, { opening: false, wanted: false, fault: event.fault });
    case "device-chosen":
      return event.kind === "speaker"
        ? { ...devices, speaker: { ...devices.speaker, chosen: event.id } }
        : withInput(devices, event.kind, { chosen: event.id });
  }
}

/** What a failed getUserMedia means (W3C Media Capture, section 10.2, and what Chromium adds in the message). */
export function faultOf(name: string, message: string): Fault {
  switch (name) {
    case "NotAllowedError":
    case "SecurityError":
    case "PermissionDeniedError":
      return /system/i.test(message) ? "system" : "refused";
    case "NotFoundError":
    case "OverconstrainedError":
    case "DevicesNotFoundError":
      return "missing";
    case "NotReadableError":
    case "AbortError":
    case "TrackStartError":
      return "busy";
    case "InsecureContext":
      return "insecure";
    default:
      return "unknown";
  }
}

/** Devices of a kind that were not there before; empty while labels (and so permission) are missing. */
export function arrivals(before: readonly Device[], after: readonly Device[]): Device[] {
  if (before.length === 0 || before.some((device) => device.label === "")) return [];
  const known = new Set(before.map((device) => device.id));
  // "default" and "communications" are the browser's names for one of the others.
  return after.filter((device) => !known.has(device.id) && device.id !== "default" && device.id !== "communications");
}

function listed(input: Input, list: readonly Device[]): Input {
  return { ...input, list };
}

function withInput(devices: Devices, kind: InputKind, change: Partial<Input>): Devices {
  return { ...devices, [kind]: { ...devices[kind], ...change } };
}
