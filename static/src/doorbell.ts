/**
 * Hears who waits before any meeting of the reader, on pages outside a meeting and inside one.
 *
 * Of all pages of a browser one listens and tells the others: a browser has few connections to one server.
 */

import { follow } from "./follow";
import { waitedIn, type Waited } from "./state/waited";

/** Of the lock that the listening page holds, and of the channel on which it tells the others. */
const NAME = "veche-lobby";
const ADDRESS = "/api/v1/lobby/events";
const NOTHING = JSON.stringify({ meetings: [] });
/** A page that has just opened asks the one that listens. */
const ASKED = "";

/** Calls `hear` with all who wait, as it is now and at each change, for as long as the sign-in lasts. */
export function listenToDoorbell(hear: (all: readonly Waited[]) => void): void {
  // Without HTTPS a browser has no locks: then pages would each listen for themselves.
  if (!isSecureContext) return;
  const channel = new BroadcastChannel(NAME);
  let last: string | null = null;
  const read = (data: string): void => {
    const all = waitedIn(data);
    if (all !== null) hear(all);
  };
  channel.onmessage = ({ data }: MessageEvent<unknown>) => {
    if (typeof data !== "string") return;
    if (data !== ASKED) read(data);
    else if (last !== null) channel.postMessage(last);
  };
  const tell = (data: string): void => {
    last = data;
    channel.postMessage(data);
    read(data);
  };
  channel.postMessage(ASKED);
  void navigator.locks.request(NAME, () =>
    follow(
      {
        address: ADDRESS,
        headers: {},
        take: (data) => {
          tell(data);
          return false;
        },
        refused: (status) => {
          const signedOut = status === 401 || status === 403;
          if (signedOut) tell(NOTHING);
          return signedOut;
        },
        lost: () => undefined,
      },
      new AbortController().signal,
    ),
  );
}
