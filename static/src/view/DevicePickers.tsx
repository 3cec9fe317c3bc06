import { Camera, Mic, Volume2 } from "lucide-react";
import { useId, useState, type ReactNode } from "react";
import { useTranslation } from "react-i18next";
import type { Device, DeviceKind } from "../state/devices";
import { useMeeting, useVisit } from "./context";
import { LevelBar } from "./LevelBar";

const ICONS = { microphone: Mic, camera: Camera, speaker: Volume2 } as const;

/** Microphone, camera and speaker to choose, with a meter and a test sound. */
export function DevicePickers(): ReactNode {
  const { t } = useTranslation();
  const visit = useVisit();
  const { choosable } = useMeeting((meeting) => meeting.devices.speaker);
  const [playing, setPlaying] = useState(false);
  const test = (): void => {
    setPlaying(true);
    void visit.testSpeaker().finally(() => setPlaying(false));
  };
  return (
    <div className="pickers">
      <Picker kind="microphone">
        <LevelBar />
      </Picker>
      <Picker kind="camera" />
      {choosable && (
        <Picker kind="speaker">
          <button type="button" className="button quiet small" onClick={test} disabled={playing}>
            {playing ? t("prejoin.testingSpeaker") : t("prejoin.testSpeaker")}
          </button>
        </Picker>
      )}
    </div>
  );
}

function Picker({ kind, children }: { readonly kind: DeviceKind; readonly children?: ReactNode }): ReactNode {
  const { t } = useTranslation();
  const visit = useVisit();
  const id = useId();
  const { list, chosen } = useMeeting((meeting) => meeting.devices[kind]);
  const Icon = ICONS[kind];
  const known = list.some((device) => device.id === chosen);
  return (
    <div className="picker">
      <label className="picker-label" htmlFor={id}>
        <Icon size={18} aria-hidden="true" />
        {t(`device.${kind}`)}
      </label>
      <select id={id} className="select" value={known ? chosen : ""} onChange={(event) => void visit.choose(kind, event.target.value)}>
        {!known && <option value="">{list.length === 0 ? t("device.none") : t("device.default")}</option>}
        {list.map((device, index) => (
          <option key={device.id} value={device.id}>
            {deviceLabel(device, index, t)}
          </option>
        ))}
      </select>
      {children !== undefined && <div className="picker-extra">{children}</div>}
    </div>
  );
}

type Translate = ReturnType<typeof useTranslation>["t"];

/** The browser's name of a device, or a number where it keeps the name back. */
export function deviceLabel(device: Device, index: number, t: Translate): string {
  if (device.id === "default" || device.label === "") {
    return device.id === "default" ? t("device.default") : t("device.unnamed", { number: index + 1 });
  }
  // Chromium adds vendor and product numbers, which mean nothing to people.
  return device.label.replace(/ \([0-9a-f]{4}:[0-9a-f]{4}\)$/u, "");
}
