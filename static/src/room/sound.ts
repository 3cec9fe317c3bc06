/** Plays what others say: one hidden audio element for each track. */

import type { RemoteTrack } from "livekit-client";

export class Sound {
  private readonly elements = new Map<RemoteTrack, HTMLMediaElement>();

  /** Plays these and no others. */
  replace(tracks: readonly RemoteTrack[]): void {
    for (const track of [...this.elements.keys()]) if (!tracks.includes(track)) this.remove(track);
    for (const track of tracks) this.add(track);
  }

  add(track: RemoteTrack): void {
    if (this.elements.has(track)) return;
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
