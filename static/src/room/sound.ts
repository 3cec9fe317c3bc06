/** Plays what others say: one hidden audio element for each track. */

import type { RemoteTrack } from "livekit-client";

export class Sound {
  private readonly elements = new Map<RemoteTrack, HTMLMediaElement>();

  add(track: RemoteTrack): void {
    const element = track.attach();
    element.hidden = true;
    this.elements.set(track, element);
    document.body.append(element);
  }

  remove(track: RemoteTrack): void {
    track.detach();
    this.elements.get(track)?.remove();
    this.elements.delete(track);
  }

  removeAll(): void {
    for (const track of [...this.elements.keys()]) this.remove(track);
  }
}
