/** Keeps the screen awake while the component is there. */

import { useEffect } from "react";

export function useWakeLock(): void {
  useEffect(() => {
    if (!("wakeLock" in navigator)) return;
    let lock: WakeLockSentinel | null = null;
    let over = false;
    const acquire = async (): Promise<void> => {
      if (document.visibilityState !== "visible") return;
      try {
        const acquired = await navigator.wakeLock.request("screen");
        if (over) await acquired.release();
        else lock = acquired;
      } catch {
        // A low battery may forbid it: the meeting goes on without.
      }
    };
    const again = (): void => void acquire();
    again();
    // The browser lets go whenever the page is hidden.
    document.addEventListener("visibilitychange", again);
    return () => {
      over = true;
      document.removeEventListener("visibilitychange", again);
      void lock?.release().catch(() => undefined);
    };
  }, []);
}
