/** What stands for a person whose picture is off: initials, and a colour that stays theirs. */

/** Up to two letters: of the first and the last word, "?" where there is no letter or digit. */
export function initials(name: string): string {
  const words = name.split(/[\s._-]+/u).filter((word) => /^[\p{L}\p{N}]/u.test(word));
  const first = words[0];
  const last = words.length > 1 ? words[words.length - 1] : undefined;
  const letters = [first, last].map((word) => (word === undefined ? "" : firstCharacter(word))).join("");
  return letters === "" ? "?" : letters.toLocaleUpperCase();
}

/** Hue in degrees, from 12 that stay apart for the eye (FNV-1a, a 32-bit hash of the identity). */
export function hue(identity: string): number {
  let hash = 0x811c9dc5;
  for (const character of identity) {
    hash = Math.imul(hash ^ (character.codePointAt(0) ?? 0), 0x01000193) >>> 0;
  }
  return (hash % 12) * 30;
}

function firstCharacter(word: string): string {
  const [character = ""] = word;
  return character;
}
