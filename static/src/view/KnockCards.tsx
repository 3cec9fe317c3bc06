import { DoorOpen, UserRoundCheck } from "lucide-react";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { MOST_CARDS, type WaitingPerson } from "../state/lobby";
import { Avatar } from "./Avatar";
import { useMeeting, useVisit } from "./context";
import { TEST_IDS } from "./testIds";

/** Who waits, over the stage for as long as they do; the participants panel shows the same at its top. */
export function KnockCards(): ReactNode {
  const { t } = useTranslation();
  const visit = useVisit();
  const { waiting, arrived } = useMeeting((meeting) => meeting.lobby);
  const panelOpen = useMeeting((meeting) => meeting.panel === "people");
  const shown = !panelOpen && waiting.length > 0;
  return (
    <>
      <p className="unseen" role="alert">
        {arrived.length > MOST_CARDS
          ? t("lobby.count", { count: arrived.length })
          : arrived.map(({ name }) => t("lobby.waits", { name })).join(". ")}
      </p>
      {shown && (
        <section className="knocks" aria-label={t("lobby.title")} data-area="lobby">
          {waiting.length <= MOST_CARDS ? (
            waiting.map((person) => (
              <div key={person.id} className="knock" data-testid={TEST_IDS.knockCard} data-name={person.name}>
                <WaitingName person={person} words={t("lobby.waits", { name: person.name })} />
                <Decision person={person} />
              </div>
            ))
          ) : (
            <div className="knock" data-testid={TEST_IDS.knockCard}>
              <p className="knock-name">
                <DoorOpen size={22} aria-hidden="true" />
                {t("lobby.count", { count: waiting.length })}
              </p>
              <div className="knock-buttons">
                <button
                  type="button"
                  className="button quiet small"
                  data-testid={TEST_IDS.showLobby}
                  onClick={() => visit.store.dispatch({ type: "panel-toggled", panel: "people" })}
                >
                  {t("lobby.show")}
                </button>
                <AdmitAll />
              </div>
            </div>
          )}
        </section>
      )}
    </>
  );
}

/** Who it is, as they say; an account's name is marked as known. */
export function WaitingName({ person: { id, name, member }, words }: { readonly person: WaitingPerson; readonly words: string }): ReactNode {
  const { t } = useTranslation();
  return (
    <div className="knock-name">
      <Avatar identity={id} name={name} />
      <div className="person-words">
        <span className="person-name">{words}</span>
        <span className="person-role">
          {member && <UserRoundCheck size={14} aria-hidden="true" />}
          {member ? t("lobby.member") : t("lobby.guest")}
        </span>
      </div>
    </div>
  );
}

/** What a host inside may do about one who waits. */
export function Decision({ person: { id, name } }: { readonly person: WaitingPerson }): ReactNode {
  const visit = useVisit();
  const deciding = useMeeting((meeting) => meeting.lobby.deciding.has(id));
  return <DecisionButtons name={name} deciding={deciding} admit={() => void visit.lobby?.admit(id)} refuse={() => void visit.lobby?.refuse(id)} />;
}

interface Choice {
  readonly name: string;
  readonly deciding: boolean;
  readonly admit: () => void;
  readonly refuse: () => void;
}

/** The two buttons; each names the person for who does not see the card. */
export function DecisionButtons({ name, deciding, admit, refuse }: Choice): ReactNode {
  const { t } = useTranslation();
  return (
    <div className="knock-buttons">
      <button
        type="button"
        className="button quiet small"
        data-testid={TEST_IDS.refuse}
        aria-label={t("lobby.refuseName", { name })}
        disabled={deciding}
        onClick={refuse}
      >
        {t("lobby.refuse")}
      </button>
      <button
        type="button"
        className="button main small"
        data-testid={TEST_IDS.admit}
        aria-label={t("lobby.admitName", { name })}
        disabled={deciding}
        onClick={admit}
      >
        {t("lobby.admit")}
      </button>
    </div>
  );
}

export function AdmitAll(): ReactNode {
  const { t } = useTranslation();
  const visit = useVisit();
  const deciding = useMeeting(({ lobby }) => lobby.waiting.every(({ id }) => lobby.deciding.has(id)));
  return (
    <button type="button" className="button main small" data-testid={TEST_IDS.admitAll} disabled={deciding} onClick={() => void visit.lobby?.admitAll()}>
      {t("lobby.admitAll")}
    </button>
  );
}
