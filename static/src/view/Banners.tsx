import { LoaderCircle, MonitorUp, VolumeX } from "lucide-react";
import { useEffect, useState, type ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { OFFER_REJOIN } from "../state/connection";
import { selfOf } from "../state/people";
import { useMeeting, useVisit } from "./context";
import { TEST_IDS } from "./testIds";

/** What needs attention for as long as it lasts: the connection, blocked sound, the own shared screen. */
export function Banners(): ReactNode {
  const { t } = useTranslation();
  const visit = useVisit();
  const sharing = useMeeting((meeting) => selfOf(meeting.people)?.screen ?? null) !== null;
  const connection = useMeeting((meeting) => meeting.connection);
  const soundBlocked = useMeeting((meeting) => meeting.soundBlocked);
  return (
    <div className="banners">
      {connection.phase === "reconnecting" && <Reconnecting since={connection.since} />}
      {soundBlocked && (
        <div className="banner" role="alert">
          <VolumeX size={18} aria-hidden="true" />
          <span>{t("connection.soundBlocked")}</span>
          <button type="button" className="button main small" onClick={() => void visit.resumeSound()}>
            {t("connection.playSound")}
          </button>
        </div>
      )}
      {sharing && (
        <div className="banner sharing" role="status">
          <MonitorUp size={18} aria-hidden="true" />
          <span>{t("stage.sharing")}</span>
          <button type="button" className="button danger small" onClick={() => void visit.toggleShare()}>
            {t("toolbar.stopShare")}
          </button>
        </div>
      )}
    </div>
  );
}

function Reconnecting({ since }: { readonly since: number }): ReactNode {
  const { t } = useTranslation();
  const visit = useVisit();
  const [long, setLong] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => setLong(true), Math.max(0, since + OFFER_REJOIN - Date.now()));
    return () => clearTimeout(timer);
  }, [since]);
  return (
    <div className="banner warning" role="alert" data-testid={TEST_IDS.reconnectingBanner}>
      <LoaderCircle className="spin" size={18} aria-hidden="true" />
      <span>{long ? t("connection.stillTrying") : t("connection.reconnecting")}</span>
      {long && (
        <button type="button" className="button light small" onClick={() => void visit.rejoin()}>
          {t("connection.rejoin")}
        </button>
      )}
    </div>
  );
}
