import { CalendarClock, LoaderCircle, LogOut, MessageSquareText } from "lucide-react";
import { useEffect, useRef, type ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { signInAddress } from "../state/links";
import { useMeeting, useVisit } from "./context";
import { DeviceFaults } from "./DeviceFaults";
import { DevicePickers } from "./DevicePickers";
import { Logo } from "./Logo";
import { PreviewPicture } from "./PreviewPicture";
import { TEST_IDS } from "./testIds";
import { useMeetingTitle } from "./useMeetingTitle";

/** The lobby: what one waits for, what the hosts say, the own picture. Nothing about who is inside. */
export function Waiting(): ReactNode {
  const { t } = useTranslation();
  const access = useMeeting((meeting) => meeting.devices.access);
  return (
    <div className="prejoin">
      <header className="prejoin-head">
        <Logo />
      </header>
      <main className="prejoin-main">
        <section className="prejoin-preview" aria-label={t("prejoin.preview")}>
          <PreviewPicture />
          <DeviceFaults dismissible={false} />
        </section>
        <WaitingCard />
        {access === "granted" && (
          <section className="prejoin-devices" aria-label={t("prejoin.devices")}>
            <DevicePickers />
          </section>
        )}
      </main>
    </div>
  );
}

function WaitingCard(): ReactNode {
  const { t } = useTranslation();
  const visit = useVisit();
  const title = useMeetingTitle();
  const connection = useMeeting((meeting) => meeting.connection);
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => heading.current?.focus({ preventScroll: true }), []);
  const waits = connection.phase === "waiting" ? connection : null;
  const notStarted = waits?.reason === "not_started";
  const startsAt = waits?.startsAt ?? null;
  return (
    <section className="join-card waiting-card" data-testid={TEST_IDS.waiting} data-reason={waits?.reason ?? "let-in"}>
      <div className="waiting-what">
        <p className="join-meeting">{title}</p>
        {startsAt !== null && <StartTime at={startsAt} />}
        <p className="waiting-moved" role="status">
          {waits?.moved === true && t("waiting.moved")}
        </p>
      </div>
      <div className="waiting-why" aria-live="polite">
        <h1 ref={heading} tabIndex={-1}>
          {waits === null ? t("waiting.letIn") : notStarted ? t("waiting.notStarted") : t("waiting.lobby")}
        </h1>
        {waits !== null && <p>{notStarted ? t("waiting.startsByItself") : t("waiting.entersByItself")}</p>}
        <p className="waiting-state">
          <LoaderCircle className="spin" size={18} aria-hidden="true" />
          {waits === null ? t("prejoin.joining") : waits.shaken ? t("connection.reconnecting") : t("waiting.waiting")}
        </p>
        {waits !== null && waits.message !== "" && (
          <div className="waiting-message" data-testid={TEST_IDS.waitingMessage}>
            <p className="waiting-message-from">
              <MessageSquareText size={16} aria-hidden="true" />
              {t("waiting.message")}
            </p>
            <p>{waits.message}</p>
          </div>
        )}
      </div>
      {waits !== null && (
        <button type="button" className="button quiet wide" data-testid={TEST_IDS.stopWaiting} onClick={() => visit.stopWaiting()}>
          <LogOut size={18} aria-hidden="true" />
          {t("toolbar.leave")}
        </button>
      )}
      {notStarted && visit.page.name === "" && visit.page.origins === null && (
        <p className="hint">
          {t("waiting.areYouHost")} <a href={signInAddress(visit.page.code)}>{t("prejoin.signIn")}</a>
        </p>
      )}
    </section>
  );
}

/** When the meeting is planned, as the clocks here show it. */
function StartTime({ at }: { readonly at: number }): ReactNode {
  const { t, i18n } = useTranslation();
  const thisYear = new Date(at).getFullYear() === new Date().getFullYear();
  const format = new Intl.DateTimeFormat(i18n.language, {
    weekday: "long",
    day: "numeric",
    month: "long",
    ...(thisYear ? {} : { year: "numeric" }),
    hour: "numeric",
    minute: "2-digit",
  });
  return (
    <p className="waiting-time" data-testid={TEST_IDS.waitingTime}>
      <CalendarClock size={16} aria-hidden="true" />
      <time dateTime={new Date(at).toISOString()}>{t("waiting.start", { time: format.format(at) })}</time>
    </p>
  );
}
