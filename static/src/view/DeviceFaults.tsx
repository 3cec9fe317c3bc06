import { X } from "lucide-react";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import type { Fault, InputKind } from "../state/devices";
import { useMeeting, useVisit } from "./context";

/** Why microphone and camera do not work, and what to do; in one breath where it is the same for both. */
export function DeviceFaults({ dismissible }: { readonly dismissible: boolean }): ReactNode {
  const microphone = useMeeting(({ devices }) => devices.microphone.fault);
  const camera = useMeeting(({ devices }) => devices.camera.fault);
  if (microphone !== null && microphone === camera) {
    return <FaultView fault={microphone} kinds={["microphone", "camera"]} dismissible={dismissible} />;
  }
  return (
    <>
      {microphone !== null && <FaultView fault={microphone} kinds={["microphone"]} dismissible={dismissible} />}
      {camera !== null && <FaultView fault={camera} kinds={["camera"]} dismissible={dismissible} />}
    </>
  );
}

interface FaultViewProps {
  readonly fault: Fault;
  readonly kinds: readonly [InputKind] | readonly ["microphone", "camera"];
  readonly dismissible: boolean;
}

function FaultView({ fault, kinds, dismissible }: FaultViewProps): ReactNode {
  const { t } = useTranslation();
  const visit = useVisit();
  const whose = kinds.length === 2 ? "both" : kinds[0];
  return (
    <div className="fault" role="alert">
      <p>{t(`fault.${fault}.${whose}`)}</p>
      {fault !== "insecure" && (
        <button type="button" className="button quiet small" onClick={() => kinds.forEach((kind) => void visit.set(kind, true))}>
          {t("fault.retry")}
        </button>
      )}
      {dismissible && (
        <button
          type="button"
          className="icon-button"
          aria-label={t("notice.dismiss")}
          onClick={() => kinds.forEach((kind) => visit.store.dispatch({ type: "device-wanted", kind, wanted: false }))}
        >
          <X size={18} aria-hidden="true" />
        </button>
      )}
    </div>
  );
}
