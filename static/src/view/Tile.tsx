import { MicOff, Star, WifiOff } from "lucide-react";
import type { CSSProperties, ReactNode } from "react";
import { useTranslation } from "react-i18next";
import type { Box } from "../state/layout";
import type { Person } from "../state/people";
import { Avatar } from "./Avatar";
import { useMeeting } from "./context";
import { PersonMenu } from "./PersonMenu";
import { useLooks } from "./preferencesContext";
import { TEST_IDS } from "./testIds";
import { VideoPicture } from "./VideoPicture";

/** A person on the stage: the picture or the initials, the name, and what others should know. */
export function Tile({ person, box }: { readonly person: Person; readonly box: Box }): ReactNode {
  const { t } = useTranslation();
  const { looks } = useLooks();
  const speaking = useMeeting((meeting) => meeting.speakers.speech.has(person.identity));
  const lit = useMeeting((meeting) => meeting.rules.spotlight.includes(person.identity));
  const muted = person.microphone !== "on";
  const shownName = person.self ? t("stage.selfName", { name: person.name }) : person.name;
  const paused = person.camera !== null && person.paused;
  const weak = person.quality === "poor" || person.quality === "lost" ? person.quality : null;
  const description = [
    shownName,
    muted ? t("stage.muted") : null,
    person.camera === null ? t("stage.cameraOff") : null,
    paused ? t("stage.paused") : null,
    weak === null ? null : t(`stage.quality.${weak}`),
    lit ? t("stage.spotlit") : null,
  ];
  return (
    <div
      className={speaking ? "tile speaking" : "tile"}
      style={boxStyle(box)}
      role="group"
      aria-label={description.filter((part) => part !== null).join(", ")}
      data-testid={TEST_IDS.tile}
      data-identity={person.identity}
      data-name={person.name}
      data-self={person.self}
      data-speaking={speaking}
      data-video={person.camera === null ? "off" : "on"}
      data-muted={muted}
    >
      {person.camera === null ? (
        <Avatar identity={person.identity} name={person.name} />
      ) : (
        <VideoPicture identity={person.identity} picture="camera" track={person.camera} mirrored={person.self && looks.mirror} />
      )}
      {paused && (
        // Over the picture, which stays: one that is not to be seen would be asked for no more.
        <div className="tile-paused">
          <Avatar identity={person.identity} name={person.name} />
          <span>{t("stage.paused")}</span>
        </div>
      )}
      <div className="tile-name">
        {lit && <Star className="spotlit" size={16} aria-hidden="true" />}
        {muted && <MicOff size={16} aria-hidden="true" />}
        <span>{shownName}</span>
      </div>
      {weak !== null && (
        <div className={`tile-quality ${weak}`} title={t(`stage.quality.${weak}`)}>
          {weak === "poor" ? <Bars lit={2} /> : <WifiOff size={18} aria-hidden="true" />}
        </div>
      )}
      <div className="tile-menu">
        <PersonMenu person={person} />
      </div>
    </div>
  );
}

/** Four bars of growing height, the first ones lit. */
function Bars({ lit }: { readonly lit: number }): ReactNode {
  return (
    <svg width={18} height={18} viewBox="0 0 18 18" fill="currentColor" aria-hidden="true">
      {[5, 9, 13, 17].map((height, index) => (
        <rect key={height} x={1 + index * 4.25} y={17.5 - height} width={3} height={height} rx={1} opacity={index < lit ? 1 : 0.35} />
      ))}
    </svg>
  );
}

/** Somebody's screen: whole, never cut. */
export function ScreenTile({ person, box }: { readonly person: Person; readonly box: Box }): ReactNode {
  const { t } = useTranslation();
  const words = t("stage.screenOf", { name: person.name });
  return (
    <div className="tile screen" style={boxStyle(box)} role="group" aria-label={words} data-testid={TEST_IDS.screenShareTile} data-identity={person.identity}>
      {person.screen !== null && <VideoPicture identity={person.identity} picture="screen" track={person.screen} />}
      <div className="tile-name">
        <span>{words}</span>
      </div>
    </div>
  );
}

function boxStyle(box: Box): CSSProperties {
  return { transform: `translate(${box.left}px, ${box.top}px)`, width: box.width, height: box.height };
}
