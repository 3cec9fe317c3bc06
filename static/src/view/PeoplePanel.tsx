import { Copy, Mic, MicOff, Star, MonitorUp, Video, VideoOff } from "lucide-react";
import { useEffect, useRef, type ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { listOrder, runsMeeting, type Person } from "../state/people";
import { Avatar } from "./Avatar";
import { useMeeting, useSelf, useVisit } from "./context";
import { useHostQuestion } from "./hostContext";
import { LobbySection } from "./LobbySection";
import { Panel } from "./Panel";
import { PersonMenu } from "./PersonMenu";
import { TEST_IDS } from "./testIds";
import { useCopyLink } from "./useCopyLink";

export function PeoplePanel(): ReactNode {
  const { t, i18n } = useTranslation();
  const visit = useVisit();
  const copy = useCopyLink();
  const people = useMeeting((meeting) => meeting.people);
  const invite = useRef<HTMLButtonElement>(null);
  useEffect(() => invite.current?.focus({ preventScroll: true }), []);
  return (
    <Panel title={`${t("people.title")} (${people.size})`} opener={TEST_IDS.toolbarParticipants}>
      <LobbySection />
      <div className="invite">
        <button type="button" className="button main" ref={invite} onClick={copy}>
          <Copy size={18} aria-hidden="true" />
          {t("invite.copy")}
        </button>
        <p className="invite-link">{visit.link()}</p>
      </div>
      {/* eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex -- keys have to reach what scrolls (WCAG 2.1.1) */}
      <ul className="people" tabIndex={0} aria-label={t("people.count", { count: people.size })}>
        {listOrder(people, i18n.language).map((person) => (
          <PersonRow key={person.identity} person={person} />
        ))}
      </ul>
      <MuteAll />
    </Panel>
  );
}

function MuteAll(): ReactNode {
  const { t } = useTranslation();
  const ask = useHostQuestion();
  if (!runsMeeting(useSelf())) return null;
  return (
    <footer className="panel-foot">
      <button type="button" className="button quiet" data-testid={TEST_IDS.muteAll} onClick={() => ask({ kind: "mute-all" })}>
        <MicOff size={18} aria-hidden="true" />
        {t("people.muteAll")}
      </button>
    </footer>
  );
}

function PersonRow({ person }: { readonly person: Person }): ReactNode {
  const { t } = useTranslation();
  const speaking = useMeeting((meeting) => meeting.speakers.speech.has(person.identity));
  const lit = useMeeting((meeting) => meeting.rules.spotlight.includes(person.identity));
  const heard = person.microphone === "on";
  const seen = person.camera !== null;
  return (
    <li className={speaking ? "person speaking" : "person"} data-testid={TEST_IDS.participantRow} data-identity={person.identity}>
      <Avatar identity={person.identity} name={person.name} />
      <div className="person-words">
        <span className="person-called">
          <span className="person-name">{person.name}</span>
          {person.self && <span>({t("people.you")})</span>}
        </span>
        {person.role !== "attendee" && <span className="person-role">{t(`people.${person.role}`)}</span>}
      </div>
      <span className="person-marks">
        {lit && (
          <span role="img" aria-label={t("people.spotlit")} className="spotlit">
            <Star size={18} aria-hidden="true" />
          </span>
        )}
        {person.screen !== null && (
          <span role="img" aria-label={t("people.sharing")} className="sharing">
            <MonitorUp size={18} aria-hidden="true" />
          </span>
        )}
        <span role="img" aria-label={heard ? t("people.microphoneOn") : t("people.microphoneOff")} className={heard ? "" : "off"}>
          {heard ? <Mic size={18} aria-hidden="true" /> : <MicOff size={18} aria-hidden="true" />}
        </span>
        <span role="img" aria-label={seen ? t("people.cameraOn") : t("people.cameraOff")} className={seen ? "" : "off"}>
          {seen ? <Video size={18} aria-hidden="true" /> : <VideoOff size={18} aria-hidden="true" />}
        </span>
      </span>
      <PersonMenu person={person} />
    </li>
  );
}
