import { LoaderCircle, Mic, MicOff, TriangleAlert, Video, VideoOff } from "lucide-react";
import { useEffect, useRef, type ReactNode } from "react";
import { useTranslation } from "react-i18next";
import type { InputKind } from "../state/devices";
import { useMeeting, useVisit } from "./context";
import { useLooks } from "./preferencesContext";
import { TEST_IDS } from "./testIds";

/** The own picture before entry, with the way to ask for devices and to turn them off. */
export function PreviewPicture(): ReactNode {
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
