import { CalendarX2, Clock, DoorClosed, Hourglass, LogOut, MonitorSmartphone, UserRoundX, WifiOff } from "lucide-react";
import { useEffect, useRef, type ReactNode } from "react";
import { useTranslation } from "react-i18next";
import type { EndReason } from "../state/connection";
import { useVisit } from "./context";
import { Logo } from "./Logo";
import { TEST_IDS } from "./testIds";

const ICONS = {
  left: LogOut,
  removed: UserRoundX,
  ended: Clock,
  duplicate: MonitorSmartphone,
  lost: WifiOff,
  refused: DoorClosed,
  expired: Hourglass,
  withdrawn: LogOut,
  over: Clock,
  cancelled: CalendarX2,
} as const;

/** The page after a meeting: why it is over for this person, and the way back where there is one. */
export function EndPage({ reason }: { readonly reason: EndReason }): ReactNode {
  const { t } = useTranslation();
  const visit = useVisit();
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => heading.current?.focus(), []);
  const Icon = ICONS[reason];
  // Who was removed or refused is not invited back by our own button, nor is there a way into what does not take place.
  const returnable = reason !== "removed" && reason !== "refused" && reason !== "cancelled";
  return (
    <div className="end-page" data-testid={TEST_IDS.leftPage} data-reason={reason}>
      <header className="prejoin-head">
        <Logo />
      </header>
      <main className="end-main">
        <span className="end-icon">
          <Icon size={30} aria-hidden="true" />
        </span>
        <h1 ref={heading} tabIndex={-1}>
          {t(`end.${reason}.title`)}
        </h1>
        <p>{t(`end.${reason}.text`)}</p>
        <div className="end-buttons">
          {returnable && (
            <button type="button" className="button main" data-testid={TEST_IDS.rejoinButton} onClick={() => void visit.rejoin()}>
              {reason === "duplicate" ? t("end.here") : reason === "expired" || reason === "over" ? t("end.again") : t("end.rejoin")}
            </button>
          )}
          {visit.page.origins === null && (
            <a className="button quiet" href="/">
              {t("end.home")}
            </a>
          )}
        </div>
      </main>
    </div>
  );
}
