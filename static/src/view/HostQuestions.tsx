import { useState, type ReactNode, type SubmitEvent } from "react";
import { useTranslation } from "react-i18next";
import { useVisit } from "./context";
import { Dialog } from "./Dialog";
import type { HostQuestion } from "./hostContext";
import { TEST_IDS } from "./testIds";

/** As the server takes it, characters. */
const LONGEST_NAME = 64;

/** The question that is open. */
export function HostQuestions({ question, onClose }: { readonly question: HostQuestion; readonly onClose: () => void }): ReactNode {
  switch (question.kind) {
    case "mute-all":
      return <MuteAll onClose={onClose} />;
    case "remove":
      return <Remove identity={question.identity} name={question.name} onClose={onClose} />;
    case "make-host":
      return <MakeHost identity={question.identity} name={question.name} onClose={onClose} />;
    case "rename":
      return <Rename question={question} onClose={onClose} />;
  }
}

interface QuestionProps {
  readonly title: string;
  readonly children: ReactNode;
  readonly words: string;
  readonly danger?: boolean;
  readonly onClose: () => void;
  readonly onYes: () => void;
}

function Question({ title, children, words, danger = false, onClose, onYes }: QuestionProps): ReactNode {
  const { t } = useTranslation();
  return (
    <Dialog title={title} onClose={onClose}>
      <form
        className="question"
        onSubmit={(event: SubmitEvent) => {
          event.preventDefault();
          onYes();
          onClose();
        }}
      >
        {children}
        <div className="question-buttons">
          <button type="button" className="button quiet" onClick={onClose}>
            {t("host.cancel")}
          </button>
          <button type="submit" className={danger ? "button danger" : "button main"} data-testid={TEST_IDS.confirm}>
            {words}
          </button>
        </div>
      </form>
    </Dialog>
  );
}

function MuteAll({ onClose }: { readonly onClose: () => void }): ReactNode {
  const { t } = useTranslation();
  const visit = useVisit();
  const [may, setMay] = useState(true);
  return (
    <Question
      title={t("host.muteAllTitle")}
      words={t("host.muteAllDo")}
      onClose={onClose}
      onYes={() => void visit.asHost((tools) => tools.muteAll(may))}
    >
      <p>{t("host.muteAllText")}</p>
      <Check checked={may} onChange={setMay} words={t("host.mayUnmute")} />
    </Question>
  );
}

interface AboutProps {
  readonly identity: string;
  readonly name: string;
  readonly onClose: () => void;
}

function Remove({ identity, name, onClose }: AboutProps): ReactNode {
  const { t } = useTranslation();
  const visit = useVisit();
  const [out, setOut] = useState(true);
  return (
    <Question
      title={t("host.removeTitle", { name })}
      words={t("host.removeDo")}
      danger
      onClose={onClose}
      onYes={() => void visit.asHost((tools) => tools.remove(identity, out))}
    >
      <p>{t("host.removeText", { name })}</p>
      <Check checked={out} onChange={setOut} words={t("host.keepOut")} />
    </Question>
  );
}

function MakeHost({ identity, name, onClose }: AboutProps): ReactNode {
  const { t } = useTranslation();
  const visit = useVisit();
  return (
    <Question
      title={t("host.makeHostTitle", { name })}
      words={t("host.makeHostDo")}
      onClose={onClose}
      onYes={() => void visit.asHost((tools) => tools.setRole(identity, "host"))}
    >
      <p>{t("host.makeHostText", { name })}</p>
    </Question>
  );
}

function Rename({ question, onClose }: { readonly question: Extract<HostQuestion, { kind: "rename" }>; readonly onClose: () => void }): ReactNode {
  const { t } = useTranslation();
  const visit = useVisit();
  const { identity, name: before, self } = question;
  const [name, setName] = useState(before);
  const rename = (): void => {
    const typed = name.trim();
    if (typed === "" || typed === before) return;
    if (self) void visit.rename(typed);
    else void visit.asHost((tools) => tools.rename(identity, typed));
  };
  return (
    <Question title={self ? t("menu.rename") : t("host.renameTitle", { name: before })} words={t("host.renameDo")} onClose={onClose} onYes={rename}>
      <label className="question-field">
        <span>{t("host.newName")}</span>
        <input
          className="field"
          value={name}
          maxLength={LONGEST_NAME}
          required
          autoComplete="off"
          data-testid={TEST_IDS.newName}
          onChange={(event) => setName(event.target.value)}
          onFocus={(event) => event.target.select()}
        />
      </label>
    </Question>
  );
}

function Check({ checked, onChange, words }: { readonly checked: boolean; readonly onChange: (checked: boolean) => void; readonly words: string }): ReactNode {
  return (
    <label className="question-check">
      <input type="checkbox" checked={checked} onChange={(event) => onChange(event.target.checked)} />
      <span>{words}</span>
    </label>
  );
}
