/** What scripts add to the pages about meetings: the browser's time zone, and buttons that copy. */

/** A request does not tell where a browser is; times on our pages are written for there. */
const ZONE_COOKIE = "veche_zone";
const YEAR = 365 * 24 * 3600;

/** Tells the server the time zone from the next page on, and chooses it in a form that nobody has filled in yet. */
export function rememberZone(): void {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (!zone || document.cookie.split("; ").includes(`${ZONE_COOKIE}=${zone}`)) return;
  document.cookie = `${ZONE_COOKIE}=${zone}; path=/; max-age=${YEAR}; samesite=lax`;
  const choice = document.querySelector<HTMLSelectElement>("select[data-zone]");
  if (choice && Array.from(choice.options).some((option) => option.value === zone)) choice.value = zone;
}

/** Shows the buttons that copy the text of another element, and makes them do so. */
export function startCopying(): void {
  for (const button of document.querySelectorAll<HTMLButtonElement>("button[data-copy]")) {
    const text = document.getElementById(button.dataset["copy"] ?? "")?.textContent ?? "";
    const words = button.textContent;
    button.hidden = false;
    button.addEventListener("click", () => {
      void navigator.clipboard.writeText(text).then(() => {
        button.textContent = button.dataset["copied"] ?? words;
        button.setAttribute("role", "status");
      });
    });
  }
}
