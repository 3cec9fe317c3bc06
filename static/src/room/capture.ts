/** Opens microphones and cameras, and says plainly why one does not open. */

import { createLocalAudioTrack, createLocalVideoTrack, VideoPresets } from "livekit-client";
import type { AudioCaptureOptions, LocalAudioTrack, LocalVideoTrack, VideoCaptureOptions } from "livekit-client";
import { faultOf, type Device, type DeviceKind, type Devices, type Fault } from "../state/devices";

export const AUDIO: AudioCaptureOptions = { echoCancellation: true, noiseSuppression: true, autoGainControl: true };
export const VIDEO: VideoCaptureOptions = { resolution: VideoPresets.h720.resolution };

const BROWSER_KIND: Record<DeviceKind, MediaDeviceKind> = {
  microphone: "audioinput",
  camera: "videoinput",
  speaker: "audiooutput",
};

export class CaptureError extends Error {
  override readonly name = "CaptureError";

  constructor(readonly fault: Fault) {
    super(`capture failed: ${fault}`);
  }
}

export function browserKind(kind: DeviceKind): MediaDeviceKind {
  return BROWSER_KIND[kind];
}

/** A wish, not a demand: a device that was unplugged gives way to the default one. */
export function wish(id: string): { deviceId?: ConstrainDOMString } {
  return id === "" ? {} : { deviceId: { ideal: id } };
}

/** Throws CaptureError. */
export async function openMicrophone(id: string): Promise<LocalAudioTrack> {
  return attempt(id, (chosen) => createLocalAudioTrack({ ...AUDIO, ...chosen }));
}

/** Throws CaptureError. */
export async function openCamera(id: string): Promise<LocalVideoTrack> {
  return attempt(id, (chosen) => createLocalVideoTrack({ ...VIDEO, ...chosen }));
}

/** What went wrong, whatever was thrown. */
export function faultIn(error: unknown): Fault {
  if (error instanceof CaptureError) return error.fault;
  return error instanceof Error ? faultOf(error.name, error.message) : "unknown";
}

/** Whether the browser would ask before opening devices. */
export async function readAccess(): Promise<Devices["access"]> {
  if (!hasDevices()) return "insecure";
  try {
    const [microphone, camera] = await Promise.all(
      ["microphone", "camera"].map((name) => navigator.permissions.query({ name: name as PermissionName })),
    );
    return microphone?.state === "granted" && camera?.state === "granted" ? "granted" : "prompt";
  } catch {
    // Firefox before 131 knows neither name: labels are there only where access was given.
    const devices = await navigator.mediaDevices.enumerateDevices().catch(() => []);
    return devices.some((device) => device.label !== "") ? "granted" : "prompt";
  }
}

/** Devices by kind; labels are empty until access is given. */
export async function listDevices(): Promise<Record<DeviceKind, readonly Device[]>> {
  const found = hasDevices() ? await navigator.mediaDevices.enumerateDevices().catch(() => []) : [];
  const of = (kind: DeviceKind): Device[] =>
    found
      .filter((device) => device.kind === BROWSER_KIND[kind] && device.deviceId !== "")
      .map((device) => ({ id: device.deviceId, label: device.label }));
  return { microphone: of("microphone"), camera: of("camera"), speaker: of("speaker") };
}

export function canChooseSpeaker(): boolean {
  return "setSinkId" in HTMLMediaElement.prototype;
}

/** Listens for devices that come and go; returns the way to stop. */
export function onDevicesChanged(listener: () => void): () => void {
  if (!hasDevices()) return () => undefined;
  navigator.mediaDevices.addEventListener("devicechange", listener);
  return () => navigator.mediaDevices.removeEventListener("devicechange", listener);
}

function hasDevices(): boolean {
  // Absent outside a secure context, whatever the type says.
  return (navigator as Partial<Navigator>).mediaDevices !== undefined;
}

/**
 * Opens the chosen device, or any where it is gone. It is demanded at first: Chromium weighs a wish against what else it
 * likes about another device.
 */
async function attempt<Track>(id: string, open: (chosen: { deviceId?: ConstrainDOMString }) => Promise<Track>): Promise<Track> {
  if (!hasDevices()) throw new CaptureError("insecure");
  try {
    return await open(id === "" ? {} : { deviceId: { exact: id } });
  } catch (error) {
    if (id !== "" && faultIn(error) === "missing") return attempt("", open);
    throw new CaptureError(faultIn(error));
  }
}
