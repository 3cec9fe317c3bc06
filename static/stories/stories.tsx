/** Draws one screen by the address: ?story=four&locale=ru&theme=dark. */

import { createRoot } from "react-dom/client";
import { I18nextProvider } from "react-i18next";
import { startTexts } from "../src/i18n";
import { DEFAULTS, type Theme } from "../src/state/preferences";
import { createStore } from "../src/store";
import { App } from "../src/view/App";
import { VisitContext } from "../src/view/context";
import { applyTheme, LooksProvider } from "../src/view/preferencesContext";
import { PaintedVisit } from "./painted";
import { STORIES } from "./states";
import "../src/view/styles/index.css";

const address = new URLSearchParams(location.search);
const locale = address.get("locale") === "en" ? "en" : "ru";
const theme = (address.get("theme") ?? "light") as Theme;
const story = STORIES[address.get("story") ?? "four"] ?? STORIES["four"];
if (!story) throw new Error("no such story");

// tests/browser/screens.py asks for the list.
Object.assign(window, { stories: Object.keys(STORIES) });
applyTheme(theme);
const page = {
  locale,
  code: "kfrt-mzbq-wnhd",
  title: locale === "ru" ? "Планёрка отдела развития" : "Development weekly",
  link: "https://veche.localhost/m/kfrt-mzbq-wnhd",
  version: "0.1.0",
  name: "",
  origins: null,
} as const;
const visit = new PaintedVisit(page, createStore(story(locale)), { ...DEFAULTS, theme });
const root = document.getElementById("root");
if (root) {
  createRoot(root).render(
    <I18nextProvider i18n={startTexts(locale)}>
      <VisitContext value={visit}>
        <LooksProvider initial={{ ...DEFAULTS, theme }}>
          <App rememberedName={address.get("name") ?? ""} />
        </LooksProvider>
      </VisitContext>
    </I18nextProvider>,
  );
}
