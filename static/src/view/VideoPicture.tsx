import { useEffect, useRef, type ReactNode } from "react";
import type { Picture } from "../room/liveRoom";
import { useVisit } from "./context";

interface VideoPictureProps {
  readonly identity: string;
  readonly picture: Picture;
  /** Changes when another track is to be shown. */
  readonly track: string;
  readonly mirrored?: boolean;
}

/** A person's camera or screen, moving. */
export function VideoPicture({ identity, picture, track, mirrored = false }: VideoPictureProps): ReactNode {
  const visit = useVisit();
  const video = useRef<HTMLVideoElement>(null);
  useEffect(
    () => (video.current ? visit.showPicture(identity, picture, video.current) : undefined),
    [visit, identity, picture, track],
  );
  return <video ref={video} className={mirrored ? "mirrored" : ""} aria-hidden="true" autoPlay playsInline muted />;
}
