/**
 * Tells hosts on pages outside a meeting who waits before any of theirs. Texts and pieces come with the page
 * (`knocks.html`), and the forms in them let people in.
 */

import { listenToDoorbell } from "../doorbell";
import type { WaitingPerson } from "../state/lobby";
import { countOf, filled, marked, type Waited } from "../state/waited";

export function startKnocks(): void {
  const place = document.getElementById("knocks");
  if (place === null) return;
  let known: ReadonlySet<string> | null = null;
  place.addEventListener("submit", (event) => void send(event));
  listenToDoorbell((all) => {
    show(place, all);
    // What was so before this page was there is no news.
    if (known !== null) announce(place, all, known);
    known = new Set(all.flatMap(({ waiting, early }) => [...waiting, ...early].map(({ id }) => id)));
  });
}

/** Sends a form without leaving the page; what becomes of it is told by the stream. */
async function send(event: SubmitEvent): Promise<void> {
  event.preventDefault();
  const form = event.target as HTMLFormElement;
  const button = form.querySelector("button");
  if (button?.getAttribute("aria-busy") === "true") return;
  button?.setAttribute("aria-busy", "true");
  const body = new URLSearchParams([...new FormData(form)].flatMap(([name, value]) => (typeof value === "string" ? [[name, value]] : [])));
  try {
    // Where it leads is not for this page: that it leads somewhere tells that it was done.
    const answer = await fetch(form.action, { method: "POST", body, redirect: "manual" });
    if (answer.type === "opaqueredirect") return;
    form.submit(); // what is wrong, such as a sign-in that is over, is told by a page
  } catch {
    button?.removeAttribute("aria-busy");
  }
}

function show(place: HTMLElement, all: readonly Waited[]): void {
  const list = part(place, "meetings");
  const count = countOf(all);
  for (const card of list.querySelectorAll<HTMLElement>("[data-meeting]")) {
    if (!all.some(({ id }) => id === card.dataset["meeting"])) card.remove();
  }
  for (const one of all) fill(place, cardOf(place, list, one.id), one);
  part(place, "count").textContent = filled(place.dataset["count"] ?? "", "count", count);
  place.hidden = count === 0;
  document.title = marked(document.title, count);
}

/** Says who is new, for screen readers. */
function announce(place: HTMLElement, all: readonly Waited[], known: ReadonlySet<string>): void {
  const come = all.flatMap(({ title, waiting, early }) =>
    [...waiting, ...early].filter(({ id }) => !known.has(id)).map(({ name }) => `${name} (${title || (place.dataset["untitled"] ?? "")})`),
  );
  const told = document.getElementById("knocks-told");
  if (told !== null && come.length > 0) told.textContent = filled(place.dataset["count"] ?? "", "count", come.join(", "));
}

/** What stays is left where it is: a button that somebody is about to press must not move away. */
function fill(place: HTMLElement, card: HTMLElement, { code, title, waiting, early, id }: Waited): void {
  const most = Number(place.dataset["most"]);
  part(card, "title").textContent = title || (place.dataset["untitled"] ?? "");
  (part(card, "open") as HTMLAnchorElement).href = `/m/${encodeURIComponent(code)}`;
  const list = part(card, "waiting");
  for (const row of list.querySelectorAll<HTMLElement>("[data-knock]")) {
    if (!waiting.some((person) => person.id === row.dataset["knock"])) row.remove();
  }
  const shown = new Set(Array.from(list.querySelectorAll<HTMLElement>("[data-knock]"), ({ dataset }) => dataset["knock"]));
  for (const person of waiting) {
    if (shown.size >= most) break;
    if (shown.has(person.id)) continue;
    shown.add(person.id);
    list.append(rowOf(place, id, person));
  }
  set(card, "more", waiting.length > shown.size, filled(place.dataset["more"] ?? "", "count", waiting.length - shown.size));
  set(card, "early", early.length > 0, filled(place.dataset["early"] ?? "", "names", early.map(({ name }) => name).join(", ")));
  const all = part(card, "all") as HTMLFormElement;
  all.action = admission(id);
  all.hidden = waiting.length < 2;
  all.querySelector("button")?.removeAttribute("aria-busy");
}

function cardOf(place: HTMLElement, list: HTMLElement, id: string): HTMLElement {
  const known = list.querySelector<HTMLElement>(`[data-meeting="${CSS.escape(id)}"]`);
  if (known) return known;
  const card = pieceOf(place, "meeting");
  card.dataset["meeting"] = id;
  list.append(card);
  return card;
}

function rowOf(place: HTMLElement, meeting: string, { id, name, member }: WaitingPerson): HTMLElement {
  const row = pieceOf(place, "person");
  row.dataset["knock"] = id;
  for (const one of row.querySelectorAll("[data-part=name]")) one.textContent = ` ${name}`;
  part(row, "member").textContent = place.dataset[member ? "member" : "guest"] ?? "";
  const form = row.querySelector("form");
  if (form) {
    form.action = admission(meeting);
    (form.elements.namedItem("knock") as HTMLInputElement).value = id;
  }
  return row;
}

function admission(meeting: string): string {
  return `/meetings/${encodeURIComponent(meeting)}/lobby/admit`;
}

function set(card: HTMLElement, name: string, shown: boolean, text: string): void {
  const element = part(card, name);
  element.hidden = !shown;
  element.textContent = shown ? text : "";
}

/** A copy of what the page's template holds. */
function pieceOf(place: HTMLElement, name: string): HTMLElement {
  const content = (part(place, name) as HTMLTemplateElement).content.firstElementChild;
  return content?.cloneNode(true) as HTMLElement;
}

function part(around: HTMLElement, name: string): HTMLElement {
  const found = around.querySelector<HTMLElement>(`[data-part="${name}"]`);
  if (found === null) throw new Error(`the page has no part ${name}`);
  return found;
}
