/** Copies the meeting's link and says so; shows it where the browser forbids that, to be copied by hand. */

import { useVisit } from "./context";

export function useCopyLink(): () => void {
  const visit = useVisit();
  return () => {
    const link = visit.link();
    void write(link).then((copied) =>
      visit.store.dispatch({ type: "notice", body: copied ? { kind: "copied" } : { kind: "not-copied", link } }),
    );
  };
}

async function write(text: string): Promise<boolean> {
  try {
    // Absent on pages that came over plain http: that throws too.
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}
