/** A form is sent once, however often its button is pressed: two presses make one meeting, one key, one letter. */

/** An answer that takes longer may never come: the form can be sent again then, ms. */
const PATIENCE = 15_000;

/** Ends the second press on any form of the page that waits for the answer to the first. */
export function sendFormsOnce(): void {
  const sent = new Map<HTMLFormElement, number>();
  document.addEventListener("submit", (event) => {
    const form = event.target;
    // What a script sends in the page's place has its own way of taking turns.
    if (event.defaultPrevented || !(form instanceof HTMLFormElement) || form.method !== "post") return;
    const before = sent.get(form);
    if (before !== undefined && event.timeStamp - before < PATIENCE) event.preventDefault();
    else sent.set(form, event.timeStamp);
  });
  // Somebody who came back to the page has the answer.
  window.addEventListener("pageshow", () => sent.clear());
}
