/** Finds web addresses in a text, so that only http and https become links. */

export interface Piece {
  readonly text: string;
  readonly href: string | null;
}

const ADDRESS = /\bhttps?:\/\/[^\s<>"'`\u00ab\u00bb]+/giu;
/** Marks that end a sentence, not an address. */
const TRAILING = /[.,;:!?…]+$/u;

/** The text in pieces; joined together they are the text again. */
export function piecesOf(text: string): Piece[] {
  const pieces: Piece[] = [];
  let end = 0;
  for (const match of text.matchAll(ADDRESS)) {
    const address = trimmed(match[0]);
    if (!isAddress(address)) continue;
    if (match.index > end) pieces.push({ text: text.slice(end, match.index), href: null });
    pieces.push({ text: address, href: address });
    end = match.index + address.length;
  }
  if (end < text.length) pieces.push({ text: text.slice(end), href: null });
  return pieces;
}

/** Drops closing marks, and a closing bracket whose opening one is not part of the address. */
function trimmed(address: string): string {
  let rest = address.replace(TRAILING, "");
  while (rest.endsWith(")") && rest.split(")").length > rest.split("(").length) {
    rest = rest.slice(0, -1).replace(TRAILING, "");
  }
  return rest;
}

function isAddress(text: string): boolean {
  return URL.canParse(text) && /^https?:$/.test(new URL(text).protocol);
}

/** Where one signs in and comes back to the meeting. */
export function signInAddress(code: string): string {
  return `/sign-in?next=${encodeURIComponent(`/m/${code}`)}`;
}

/** The link with a passcode in its fragment; as it is where it has one, or there is none. */
export function withPasscode(link: string, passcode: string): string {
  return passcode === "" || link.includes("#") ? link : `${link}#p=${encodeURIComponent(passcode)}`;
}
