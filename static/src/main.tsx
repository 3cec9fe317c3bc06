/** Starts the client in the page that the server made. */

import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { I18nextProvider } from "react-i18next";
import { embed } from "./embedding";
import { takeGiven } from "./fragment";
import { startTexts } from "./i18n";
import { readPage } from "./page";
import { readPreferences } from "./remembered";
import { NEW_MEETING } from "./state/meeting";
import { createStore } from "./store";
import { App } from "./view/App";
import { VisitContext } from "./view/context";
import { applyTheme, LooksProvider } from "./view/preferencesContext";
import { Visit } from "./visit";
import "./view/styles/index.css";

const page = readPage(document);
const root = document.getElementById("root");
if (!root) throw new Error("the page has no #root");

const given = takeGiven();
const preferences = readPreferences();
const theme = given.theme ?? preferences.theme;
applyTheme(theme);
document.documentElement.lang = page.locale;
const visit = new Visit(page, createStore(NEW_MEETING), preferences, given);
if (page.origins !== null) embed(visit, page.origins);

createRoot(root).render(
  <StrictMode>
    <I18nextProvider i18n={startTexts(page.locale)}>
      <VisitContext value={visit}>
        <LooksProvider initial={{ ...preferences, theme }}>
          <App rememberedName={visit.newcomer.name} />
        </LooksProvider>
      </VisitContext>
    </I18nextProvider>
  </StrictMode>,
);

void visit.start();
// A page that the browser brings back from its cache has lost its connection.
window.addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload();
});
