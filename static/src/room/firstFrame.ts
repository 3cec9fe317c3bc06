/** Marks in the browser's timeline how long a join takes. Nothing leaves the page. */

export const JOIN_MARK = "veche:join-click";
export const FRAME_MARK = "veche:first-remote-frame";

export function markJoin(): void {
  performance.clearMarks(FRAME_MARK);
  performance.clearMarks(JOIN_MARK);
  performance.mark(JOIN_MARK);
}

/** Marks the moment when this element shows its first frame, if no other did since the join. */
export function markFirstFrame(element: HTMLVideoElement): void {
  if (performance.getEntriesByName(FRAME_MARK).length > 0 || !("requestVideoFrameCallback" in element)) return;
  element.requestVideoFrameCallback(() => {
    if (performance.getEntriesByName(FRAME_MARK).length === 0) performance.mark(FRAME_MARK);
  });
}
