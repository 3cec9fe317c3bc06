import { X } from "lucide-react";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import type { Notice } from "../state/notices";
import { useMeeting, useVisit } from "./context";

/** Short notices at the top; screen readers hear them as they come. */
export function Notices(): ReactNode {
  const { t } = useTranslation();
  const { store } = useVisit();
  const shown = useMeeting((meeting) => meeting.notices.shown);
  const hold = (held: boolean) => () => store.dispatch({ type: "notices-held", held });
  return (
    // The pointer and the focus only hold the notices: whoever uses neither loses nothing.
    // eslint-disable-next-line jsx-a11y/no-noninteractive-element-interactions
    <div
      className="notices"
      role="log"
      aria-label={t("notice.name")}
      aria-live="polite"
      onPointerEnter={hold(true)}
      onPointerLeave={hold(false)}
      onFocus={hold(true)}
      onBlur={hold(false)}
    >
      {shown.map((notice) => (
        <NoticeView key={notice.id} notice={notice} />
      ))}
    </div>
  );
}

function NoticeView({ notice }: { readonly notice: Notice }): ReactNode {
  const { t } = useTranslation();
  const visit = useVisit();
  const dismiss = (): void => visit.store.dispatch({ type: "notice-dismissed", id: notice.id });
  return (
    <div className="notice">
      <p>{noticeText(notice, t)}</p>
      {notice.kind === "chat" && (
        <button type="button" className="button quiet small" onClick={() => visit.store.dispatch({ type: "panel-toggled", panel: "chat" })}>
          {t("notice.openChat")}
        </button>
      )}
      {notice.kind === "device-arrived" && (
        <button
          type="button"
          className="button quiet small"
          onClick={() => {
            dismiss();
            void visit.choose(notice.device, notice.deviceId);
          }}
        >
          {t("notice.use")}
        </button>
      )}
      <button type="button" className="icon-button small" aria-label={t("notice.dismiss")} onClick={dismiss}>
        <X size={16} aria-hidden="true" />
      </button>
    </div>
  );
}

type Translate = ReturnType<typeof useTranslation>["t"];

/** Texts of others are cut here: a notice is one line or two. */
const LONGEST_SHOWN = 120;

function noticeText(notice: Notice, t: Translate): string {
  switch (notice.kind) {
    case "joined":
    case "left": {
      const [name = "", ...rest] = notice.names;
      if (rest.length === 0) return t(`notice.${notice.kind}`, { name });
      return t(`notice.${notice.kind}Many`, { name, count: rest.length });
    }
    case "chat":
      return t("notice.chat", { name: notice.name, text: notice.text.slice(0, LONGEST_SHOWN) });
    case "muted-by-host":
      return t("notice.mutedByHost");
    case "device-arrived":
      return t(`notice.deviceArrived.${notice.device}`, { label: notice.label });
    case "device-gone":
      return t(`notice.deviceGone.${notice.device}`);
    case "role":
      return t(`notice.role.${notice.role}`);
    case "not-permitted":
      return t(`notice.notPermitted.${notice.what}`);
    case "host-failed":
      return t("notice.hostFailed");
    case "share-failed":
      return t("notice.shareFailed");
    case "copied":
      return t("notice.copied");
    case "not-copied":
      return t("notice.notCopied", { link: notice.link });
  }
}
