import { Mic, Video } from "lucide-react";
import { useEffect, useRef, type ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { useMeeting, useVisit } from "./context";
import { TEST_IDS } from "./testIds";

/** A host asks for the microphone or the camera: it is this person who says so. The meeting goes on behind it. */
export function AskDialog(): ReactNode {
  const { t } = useTranslation();
  const visit = useVisit();
  const ask = useMeeting((meeting) => meeting.ask);
  const yes = useRef<HTMLButtonElement>(null);
  useEffect(() => {
    if (ask !== null) yes.current?.focus();
  }, [ask]);
  if (ask === null) return null;
  const Icon = ask === "unmute" ? Mic : Video;
  return (
    // Escape is an answer, too; the keys are the buttons'.
    // eslint-disable-next-line jsx-a11y/no-noninteractive-element-interactions
    <div
      className="wish"
      role="alertdialog"
      aria-labelledby="ask-title"
      tabIndex={-1}
      onKeyDown={(event) => {
        if (event.key === "Escape") void visit.answer(false);
      }}
    >
      <p id="ask-title" className="wish-title">
        <Icon size={22} aria-hidden="true" />
        {t(`ask.${ask}.title`)}
      </p>
      <div className="question-buttons">
        <button type="button" className="button quiet" data-testid={TEST_IDS.askNo} onClick={() => void visit.answer(false)}>
          {t(`ask.${ask}.no`)}
        </button>
        <button type="button" className="button main" ref={yes} data-testid={TEST_IDS.askYes} onClick={() => void visit.answer(true)}>
          {t(`ask.${ask}.yes`)}
        </button>
      </div>
    </div>
  );
}
