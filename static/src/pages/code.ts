/** A meeting's code in what a person typed or pasted; the server reads the same in server/codes.py. */

const SPELLING = /^[bcdfghjkmnpqrstvwxyz]+$/;
const LETTERS = 12;
const GROUP = 4;

/** The code in its usual form, or null where there is none. */
export function readCode(typed: string): string | null {
  const text = /\/m\/([^/?#]+)/.exec(typed)?.[1] ?? typed;
  const letters = text.replace(/[\s\-–—_.]+/g, "").toLowerCase();
  if (letters.length !== LETTERS || !SPELLING.test(letters)) return null;
  return Array.from({ length: LETTERS / GROUP }, (_, group) => letters.slice(group * GROUP, (group + 1) * GROUP)).join("-");
}
