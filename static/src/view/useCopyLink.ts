/** Copies the meeting's link and says so. */

import { useVisit } from "./context";

export function useCopyLink(): () => void {
  const { page, store } = useVisit();
  return () => {
    void navigator.clipboard
      .writeText(page.link)
      .then(() => store.dispatch({ type: "notice", body: { kind: "copied" } }))
      // Forbidden by the browser: the link stays in view, to be selected by hand.
      .catch(() => undefined);
  };
}
