/** The meeting's name, or a word for one that was never named. */

import { useTranslation } from "react-i18next";
import { useVisit } from "./context";

export function useMeetingTitle(): string {
  const { t } = useTranslation();
  const { page } = useVisit();
  return page.title === "" ? t("app.meeting") : page.title;
}
