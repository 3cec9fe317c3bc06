/** Texts in Russian and English, switched in place. */

import i18next, { type i18n } from "i18next";
import { initReactI18next } from "react-i18next";
import en from "./locales/en.json";
import ru from "./locales/ru.json";
import type { Locale } from "./page";

declare module "i18next" {
  interface CustomTypeOptions {
    defaultNS: "texts";
    resources: { texts: typeof en };
  }
}

/** The server reads this cookie for its own pages; a year. */
const COOKIE = "veche_locale";
const COOKIE_LIFE = 31_536_000;

export function startTexts(locale: Locale): i18n {
  const texts = i18next.createInstance();
  void texts.use(initReactI18next).init({
    lng: locale,
    fallbackLng: "en",
    defaultNS: "texts",
    resources: { en: { texts: en }, ru: { texts: ru } },
    // React escapes by itself.
    interpolation: { escapeValue: false },
    initAsync: false,
  });
  return texts;
}

export function switchLocale(texts: i18n, locale: Locale): void {
  document.cookie = `${COOKIE}=${locale}; path=/; max-age=${COOKIE_LIFE}; samesite=lax`;
  document.documentElement.lang = locale;
  void texts.changeLanguage(locale);
}
