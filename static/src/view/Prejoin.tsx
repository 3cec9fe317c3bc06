import { LoaderCircle, Settings } from "lucide-react";
import { useEffect, useId, useRef, useState, type ReactNode } from "react";
import { useTranslation } from "react-i18next";
import type { JoinProblem } from "../state/connection";
import { signInAddress } from "../state/links";
import { LONGEST_NAME } from "../state/preferences";
import { useMeeting, useVisit } from "./context";
import { DeviceFaults } from "./DeviceFaults";
import { DevicePickers } from "./DevicePickers";
import { Logo } from "./Logo";
import { PreviewPicture } from "./PreviewPicture";
import { SettingsDialog } from "./SettingsDialog";
import { TEST_IDS } from "./testIds";
import { useMeetingTitle } from "./useMeetingTitle";

const WRONG_PASSCODE = "wrong_passcode";
const PASSCODE_PROBLEMS = ["passcode_required", WRONG_PASSCODE];
/** Twice what a passcode may have: blanks of a paste are cut off. */
const LONGEST_PASSCODE = 64;

/** The check before joining: own picture, devices, name. */
export function Prejoin({ rememberedName }: { readonly rememberedName: string }): ReactNode {
  const { t } = useTranslation();
  const [settings, setSettings] = useState(false);
  const access = useMeeting((meeting) => meeting.devices.access);
  return (
    <div className="prejoin">
      <header className="prejoin-head">
        <Logo />
        <button type="button" className="icon-button" aria-label={t("settings.open")} title={t("settings.open")} onClick={() => setSettings(true)}>
          <Settings size={20} aria-hidden="true" />
        </button>
      </header>
      <main className="prejoin-main">
        <section className="prejoin-preview" aria-label={t("prejoin.check")}>
          <PreviewPicture />
          <DeviceFaults dismissible={false} />
        </section>
        <JoinCard rememberedName={rememberedName} />
        {access === "granted" && (
          <section className="prejoin-devices" aria-label={t("prejoin.devices")}>
            <DevicePickers />
          </section>
        )}
      </main>
      {settings && <SettingsDialog devices={false} onClose={() => setSettings(false)} />}
    </div>
  );
}

function JoinCard({ rememberedName }: { readonly rememberedName: string }): ReactNode {
  const { t } = useTranslation();
  const visit = useVisit();
  const title = useMeetingTitle();
  const id = useId();
  const [name, setName] = useState(rememberedName);
  const [missing, setMissing] = useState(false);
  const [passcode, setPasscode] = useState("");
  const field = useRef<HTMLInputElement>(null);
  const button = useRef<HTMLButtonElement>(null);
  const passcodeField = useRef<HTMLInputElement>(null);
  const connection = useMeeting((meeting) => meeting.connection);
  const access = useMeeting((meeting) => meeting.devices.access);
  const joining = connection.phase === "joining";
  const problem = connection.phase === "before" ? connection.problem : null;
  const passcodeProblem = problem !== null && PASSCODE_PROBLEMS.includes(problem.code) ? problem : null;
  // Once it was asked for, the field stays.
  const [passcodeAsked, setPasscodeAsked] = useState(false);
  if (passcodeProblem !== null && !passcodeAsked) setPasscodeAsked(true);

  useEffect(() => {
    // In an iframe the focus is the page's around it.
    if (visit.page.origins === null) (rememberedName === "" ? field : button).current?.focus({ preventScroll: true });
  }, [rememberedName, visit]);

  useEffect(() => {
    if (passcodeProblem === null) return;
    passcodeField.current?.focus();
    passcodeField.current?.select();
  }, [passcodeProblem]);

  const join = (): void => {
    const trimmed = name.trim();
    setMissing(trimmed === "");
    if (trimmed === "") field.current?.focus();
    else void visit.join(trimmed, passcodeAsked ? passcode.trim() : undefined);
  };

  return (
    <section className="join-card">
      <p className="join-meeting">{title}</p>
      <h1>{t("prejoin.title")}</h1>
      <form
        noValidate
        onSubmit={(event) => {
          event.preventDefault();
          join();
        }}
      >
        <label htmlFor={id}>{t("prejoin.name")}</label>
        <input
          id={id}
          ref={field}
          className="field"
          value={name}
          maxLength={LONGEST_NAME}
          readOnly={visit.newcomer.isNamed}
          autoComplete="name"
          placeholder={t("prejoin.namePlaceholder")}
          aria-invalid={missing}
          aria-describedby={missing ? `${id}-missing` : undefined}
          data-testid={TEST_IDS.nameInput}
          onChange={(event) => {
            setName(event.target.value);
            setMissing(false);
          }}
        />
        {missing && (
          <p className="field-fault" id={`${id}-missing`} role="alert">
            {t("prejoin.nameMissing")}
          </p>
        )}
        {passcodeAsked && (
          <>
            <label htmlFor={`${id}-passcode`}>{t("prejoin.passcode")}</label>
            <input
              id={`${id}-passcode`}
              ref={passcodeField}
              className="field"
              value={passcode}
              maxLength={LONGEST_PASSCODE}
              autoComplete="off"
              autoCapitalize="none"
              spellCheck={false}
              aria-invalid={passcodeProblem?.code === WRONG_PASSCODE}
              aria-describedby={passcodeProblem ? `${id}-passcode-problem` : undefined}
              data-testid={TEST_IDS.passcodeInput}
              onChange={(event) => setPasscode(event.target.value)}
            />
            {passcodeProblem && (
              <p className={passcodeProblem.code === WRONG_PASSCODE ? "field-fault" : "hint"} id={`${id}-passcode-problem`} role="alert">
                {passcodeProblem.code === WRONG_PASSCODE ? t("prejoin.passcodeWrong") : t("prejoin.passcodeNeeded")}
              </p>
            )}
          </>
        )}
        {problem && !passcodeProblem && <Problem problem={problem} />}
        <button ref={button} type="submit" className="button main wide" data-testid={TEST_IDS.joinButton} disabled={joining}>
          {joining && <LoaderCircle className="spin" size={20} aria-hidden="true" />}
          {joining ? t("prejoin.joining") : t("prejoin.join")}
        </button>
      </form>
      {(access === "prompt" || access === "insecure") && <p className="hint">{t("prejoin.withoutDevices")}</p>}
    </section>
  );
}

function Problem({ problem }: { readonly problem: JoinProblem }): ReactNode {
  const { t } = useTranslation();
  const { page } = useVisit();
  return (
    <div className="fault" role="alert">
      <p>
        <strong>{t("problem.title")}</strong>
      </p>
      <p>{problemText(problem, t)}</p>
      {problem.code === "sign_in_required" && page.origins === null && (
        <p>
          <a href={signInAddress(page.code)}>{t("prejoin.signIn")}</a>
        </p>
      )}
    </div>
  );
}

type Translate = ReturnType<typeof useTranslation>["t"];

/** Our words for the server's codes; its own detail for those that we don't know. */
function problemText({ code, detail }: JoinProblem, t: Translate): string {
  switch (code) {
    case "unreachable":
      return t("problem.unreachable");
    case "meeting_not_found":
    case "http-404":
      return t("problem.not-found");
    case "meeting_locked":
      return t("problem.locked");
    case "room_full":
    case "meeting_full":
      return t("problem.full");
    case "lobby_full":
      return t("problem.lobby-full");
    case "knock_refused":
      return t("problem.refused");
    case "removed":
      return t("problem.removed");
    case "meeting_cancelled":
      return t("problem.cancelled");
    case "sign_in_required":
      return t("problem.sign-in");
    case "meeting_ended":
      return t("problem.ended");
    case "ticket_refused":
      return t("problem.ticket");
    case "too_many_requests":
    case "http-429":
      return t("problem.rate");
    default:
      return detail === "" ? t("problem.unknown") : t("problem.other", { detail });
  }
}
