import { Link, Lock } from "lucide-react";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { useMeeting, useVisit } from "./context";
import { useCopyLink } from "./useCopyLink";
import { useMeetingTitle } from "./useMeetingTitle";

/** The meeting's name, and its link to pass on. */
export function TopBar(): ReactNode {
  const { t } = useTranslation();
  const { page } = useVisit();
  const title = useMeetingTitle();
  const copy = useCopyLink();
  const locked = useMeeting((meeting) => meeting.rules.locked);
  return (
    <header className="topbar">
      <h1 className="topbar-title">{title}</h1>
      {locked && (
        <span className="topbar-lock" role="img" aria-label={t("stage.locked")} title={t("stage.locked")}>
          <Lock size={16} aria-hidden="true" />
        </span>
      )}
      <button type="button" className="topbar-link" onClick={copy} title={t("menu.copyLink")} aria-label={`${t("menu.copyLink")}, ${page.code}`}>
        <Link size={16} aria-hidden="true" />
        <span>{page.code}</span>
      </button>
    </header>
  );
}
