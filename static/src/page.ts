/** What the server wrote into the page: which meeting this is, and in which language. */

export type Locale = "ru" | "en";

export interface PageData {
  readonly locale: Locale;
  readonly code: string;
  readonly title: string;
  /** The meeting's address, to pass on. */
  readonly link: string;
  readonly version: string;
  /** Of the account that is signed in; "" for a guest. */
  readonly name: string;
  /** In an iframe: the origins of the sites whose pages may hold it. Null on the meeting's own page. */
  readonly origins: readonly string[] | null;
}

/** Reads the element `#page`; throws where the page is not a meeting's. */
export function readPage(document: Document): PageData {
  const found: unknown = JSON.parse(document.getElementById("page")?.textContent ?? "null");
  if (typeof found !== "object" || found === null) throw new Error("the page carries no meeting data");
  const field = (name: string): string => {
    const value: unknown = Reflect.get(found, name);
    if (typeof value !== "string") throw new Error(`page data: ${name} is ${typeof value}, expected a string`);
    return value;
  };
  return {
    locale: field("locale") === "ru" ? "ru" : "en",
    code: field("code"),
    title: field("title"),
    link: field("link"),
    version: field("version"),
    name: field("name"),
    origins: originsIn(Reflect.get(found, "origins")),
  };
}

function originsIn(value: unknown): string[] | null {
  return Array.isArray(value) ? value.filter((origin) => typeof origin === "string") : null;
}
