import { BellRing, X } from "lucide-react";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { MOST_CALLERS, type Caller } from "../state/elsewhere";
import { useMeeting, useVisit } from "./context";
import { DecisionButtons, WaitingName } from "./KnockCards";
import { TEST_IDS } from "./testIds";

/** Who waits before other meetings of this host: without a sound, as they are busy here. */
export function ElsewhereCards(): ReactNode {
  const { t } = useTranslation();
  const { callers, arrived } = useMeeting((meeting) => meeting.elsewhere);
  const titled = (title: string): string => (title === "" ? t("app.meeting") : title);
  return (
    <>
      <p className="unseen" role="status">
        {arrived.length > MOST_CALLERS
          ? t("elsewhere.count", { count: arrived.length })
          : arrived.map(({ name, title }) => `${t("lobby.waits", { name })} (${titled(title)})`).join(". ")}
      </p>
      {callers.length > 0 && (
        <section className="knocks-elsewhere" aria-label={t("elsewhere.title")} data-area="lobby">
          {callers.length <= MOST_CALLERS ? (
            callers.map((caller, index) => <CallerCard key={caller.id} caller={caller} title={titled(caller.title)} first={index === 0} />)
          ) : (
            <div className="knock" data-testid={TEST_IDS.callerCard}>
              <Where words={t("elsewhere.title")} first />
              <p className="knock-name">{t("lobby.count", { count: callers.length })}</p>
              <div className="knock-buttons">
                <Elsewhere address="/meetings" words={t("lobby.show")} />
              </div>
            </div>
          )}
        </section>
      )}
    </>
  );
}

function CallerCard({ caller, title, first }: { readonly caller: Caller; readonly title: string; readonly first: boolean }): ReactNode {
  const { t } = useTranslation();
  const { elsewhere } = useVisit();
  const deciding = useMeeting((meeting) => meeting.elsewhere.deciding.has(caller.id));
  const { code, id, name, early } = caller;
  return (
    <div className="knock" data-testid={TEST_IDS.callerCard} data-name={name}>
      <Where words={title} first={first} />
      <WaitingName person={caller} words={t(early ? "elsewhere.early" : "lobby.waits", { name })} />
      {early ? (
        <div className="knock-buttons">
          <Elsewhere address={`/m/${encodeURIComponent(code)}`} words={t("elsewhere.open")} about={title} />
        </div>
      ) : (
        <DecisionButtons
          name={name}
          deciding={deciding}
          admit={() => void elsewhere.admit(code, id)}
          refuse={() => void elsewhere.refuse(code, id)}
        />
      )}
    </div>
  );
}

/** Before which meeting; on the first card with what makes all of them go. */
function Where({ words, first }: { readonly words: string; readonly first: boolean }): ReactNode {
  const { t } = useTranslation();
  const { store } = useVisit();
  return (
    <div className="knock-where">
      <BellRing size={16} aria-hidden="true" />
      <span className="knock-title">{words}</span>
      {first && (
        <button
          type="button"
          className="icon-button small"
          aria-label={t("notice.dismiss")}
          data-testid={TEST_IDS.dismissCallers}
          onClick={() => store.dispatch({ type: "elsewhere-dismissed" })}
        >
          <X size={16} aria-hidden="true" />
        </button>
      )}
    </div>
  );
}

/** Leads to another tab: this one is in a meeting. */
function Elsewhere({ address, words, about }: { readonly address: string; readonly words: string; readonly about?: string }): ReactNode {
  return (
    <a className="button quiet small" href={address} target="_blank" rel="noopener noreferrer" aria-label={about === undefined ? undefined : `${words}: ${about}`}>
      {words}
    </a>
  );
}
