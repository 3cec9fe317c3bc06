/** The devices before entry: opened for the preview, then handed over to the room as they are. */

import { Track } from "livekit-client";
import type { LocalAudioTrack, LocalVideoTrack } from "livekit-client";
import type { InputKind } from "../state/devices";
import { openCamera, openMicrophone } from "./capture";
import { watchLevel, type LevelListener } from "./level";

export interface Opened {
  readonly microphone: LocalAudioTrack | null;
  readonly camera: LocalVideoTrack | null;
}

export class Preview {
  private microphone: LocalAudioTrack | null = null;
  private camera: LocalVideoTrack | null = null;
  private stopLevel: (() => void) | null = null;
  private readonly turns: Record<InputKind, number> = { microphone: 0, camera: 0 };

  constructor(
    private readonly onLevel: LevelListener,
    private readonly onCamera: () => void,
  ) {}

  /** Opens a device in place of the one before; answers the id of the one that opened, null if overtaken. Throws CaptureError. */
  async open(kind: InputKind, id: string): Promise<string | null> {
    this.close(kind);
    const turn = this.turns[kind];
    const track = kind === "microphone" ? await openMicrophone(id) : await openCamera(id);
    if (turn !== this.turns[kind]) {
      track.stop();
      return null;
    }
    if (track.kind === Track.Kind.Audio) {
      this.microphone = track;
      this.stopLevel = watchLevel(track.mediaStreamTrack, this.onLevel);
    } else {
      this.camera = track;
      this.onCamera();
    }
    return (await track.getDeviceId()) ?? id;
  }

  /** Closes a device, so that its light goes out. */
  close(kind: InputKind): void {
    this.turns[kind] += 1;
    if (kind === "microphone") {
      this.stopLevel?.();
      this.stopLevel = null;
      this.microphone?.stop();
      this.microphone = null;
    } else if (this.camera) {
      this.camera.stop();
      this.camera = null;
      this.onCamera();
    }
  }

  /** Shows the camera in a video element; answers the way to stop. */
  show(element: HTMLVideoElement): () => void {
    const camera = this.camera;
    camera?.attach(element);
    return () => camera?.detach(element);
  }

  /** Gives the open tracks away and forgets them. */
  handOver(): Opened {
    const opened = { microphone: this.microphone, camera: this.camera };
    this.stopLevel?.();
    this.stopLevel = null;
    this.microphone = null;
    this.camera = null;
    return opened;
  }

  closeAll(): void {
    this.close("microphone");
    this.close("camera");
  }
}
