import { LoaderCircle, Mic, MicOff, Settings, TriangleAlert, Video, VideoOff } from "lucide-react";
import { useEffect, useId, useRef, useState, type ReactNode } from "react";
import { useTranslation } from "react-i18next";
import type { JoinProblem } from "../state/connection";
import type { InputKind } from "../state/devices";
import { LONGEST_NAME } from "../state/preferences";
import { useMeeting, useVisit } from "./context";
import { DeviceFaults } from "./DeviceFaults";
import { DevicePickers } from "./DevicePickers";
import { Logo } from "./Logo";
import { useLooks } from "./preferencesContext";
import { SettingsDialog } from "./SettingsDialog";
import { TEST_IDS } from "./testIds";
import { useMeetingTitle } from "./useMeetingTitle";

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

function PreviewPicture(): ReactNode {
  const { t } = useTranslation();
  const visit = useVisit();
  const { looks } = useLooks();
  const video = useRef<HTMLVideoElement>(null);
  const { access, camera, microphone } = useMeeting((meeting) => meeting.devices);
  const asking = (access === "prompt" || access === "unknown") && camera.fault === null && microphone.fault === null;
  const open = access === "granted" && camera.wanted && !camera.opening && camera.fault === null;
  useEffect(() => (video.current ? visit.showPreview(video.current) : undefined), [visit, open]);
  return (
    <div className="preview">
      {open && (
        <video
          ref={video}
          className={looks.mirror ? "mirrored" : ""}
          data-testid={TEST_IDS.previewVideo}
          aria-label={t("prejoin.preview")}
          autoPlay
          playsInline
          muted
        />
      )}
      {!open && asking && access === "prompt" && <AskForDevices />}
      {!open && !(asking && access === "prompt") && (
        <p className="preview-words">
          {camera.opening ? (
            <>
              <LoaderCircle className="spin" size={22} aria-hidden="true" />
              {t("prejoin.cameraStarting")}
            </>
          ) : (
            access !== "unknown" && t("prejoin.cameraOff")
          )}
        </p>
      )}
      <div className="preview-controls">
        <PreviewToggle kind="microphone" />
        <PreviewToggle kind="camera" />
      </div>
    </div>
  );
}

function AskForDevices(): ReactNode {
  const { t } = useTranslation();
  const visit = useVisit();
  const opening = useMeeting(({ devices }) => devices.microphone.opening || devices.camera.opening);
  return (
    <div className="ask">
      <p className="ask-title">{t("prejoin.askTitle")}</p>
      <p>{t("prejoin.askReason")}</p>
      <button type="button" className="button light" data-testid={TEST_IDS.allowDevices} disabled={opening} onClick={() => void visit.askForDevices()}>
        {opening ? <LoaderCircle className="spin" size={18} aria-hidden="true" /> : <Video size={18} aria-hidden="true" />}
        {t("prejoin.ask")}
      </button>
    </div>
  );
}

function PreviewToggle({ kind }: { readonly kind: InputKind }): ReactNode {
  const { t } = useTranslation();
  const visit = useVisit();
  const { wanted, fault } = useMeeting((meeting) => meeting.devices[kind]);
  const on = wanted && fault === null;
  const [On, Off] = kind === "microphone" ? [Mic, MicOff] : [Video, VideoOff];
  const label =
    kind === "microphone" ? t(on ? "toolbar.mute" : "toolbar.unmute") : t(on ? "toolbar.stopVideo" : "toolbar.startVideo");
  return (
    <button
      type="button"
      className={on ? "round" : "round off"}
      aria-label={label}
      title={label}
      data-testid={kind === "microphone" ? TEST_IDS.previewMicrophone : TEST_IDS.previewCamera}
      onClick={() => void visit.toggle(kind)}
    >
      {on ? <On size={22} aria-hidden="true" /> : <Off size={22} aria-hidden="true" />}
      {fault !== null && <TriangleAlert className="round-mark" size={16} aria-hidden="true" />}
    </button>
  );
}

function JoinCard({ rememberedName }: { readonly rememberedName: string }): ReactNode {
  const { t } = useTranslation();
  const visit = useVisit();
  const title = useMeetingTitle();
  const id = useId();
  const [name, setName] = useState(rememberedName);
  const [missing, setMissing] = useState(false);
  const field = useRef<HTMLInputElement>(null);
  const button = useRef<HTMLButtonElement>(null);
  const connection = useMeeting((meeting) => meeting.connection);
  const access = useMeeting((meeting) => meeting.devices.access);
  const joining = connection.phase === "joining";

  useEffect(() => (rememberedName === "" ? field : button).current?.focus({ preventScroll: true }), [rememberedName]);

  const join = (): void => {
    const trimmed = name.trim();
    setMissing(trimmed === "");
    if (trimmed === "") field.current?.focus();
    else void visit.join(trimmed);
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
        {connection.phase === "before" && connection.problem && <Problem problem={connection.problem} />}
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
  return (
    <div className="fault" role="alert">
      <p>
        <strong>{t("problem.title")}</strong>
      </p>
      <p>{problemText(problem, t)}</p>
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
      return t("problem.full");
    case "meeting_ended":
      return t("problem.ended");
    case "too_many_requests":
    case "http-429":
      return t("problem.rate");
    default:
      return detail === "" ? t("problem.unknown") : t("problem.other", { detail });
  }
}
