import { SendHorizontal } from "lucide-react";
import { useId, useState, type ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { useMeeting, useVisit } from "./context";
import { AdmitAll, Decision, WaitingName } from "./KnockCards";
import { TEST_IDS } from "./testIds";

/** As the server takes it, characters. */
const LONGEST_MESSAGE = 500;

/** The lobby at the top of the participants panel: everybody who waits, and a word to them. */
export function LobbySection(): ReactNode {
  const { t } = useTranslation();
  const id = useId();
  const waiting = useMeeting((meeting) => meeting.lobby.waiting);
  if (waiting.length === 0) return null;
  return (
    <section className="lobby" aria-labelledby={id}>
      <header className="lobby-head">
        <h3 id={id}>{t("lobby.count", { count: waiting.length })}</h3>
        {waiting.length > 1 && <AdmitAll />}
      </header>
      <ul className="lobby-list">
        {waiting.map((person) => (
          <li key={person.id} data-testid={TEST_IDS.knockRow} data-name={person.name}>
            <WaitingName person={person} words={person.name} />
            <Decision person={person} />
          </li>
        ))}
      </ul>
      <LobbyMessage />
    </section>
  );
}

function LobbyMessage(): ReactNode {
  const { t } = useTranslation();
  const visit = useVisit();
  const id = useId();
  const told = useMeeting((meeting) => meeting.lobby.message);
  const [text, setText] = useState(told);
  const [state, setState] = useState<"typing" | "sending" | "failed">("typing");
  const send = async (): Promise<void> => {
    setState("sending");
    setState((await visit.lobby?.say(text.trim())) === true ? "typing" : "failed");
  };
  return (
    <form
      className="lobby-message"
      onSubmit={(event) => {
        event.preventDefault();
        void send();
      }}
    >
      <label htmlFor={id}>{t("lobby.message")}</label>
      <div className="lobby-message-line">
        <input
          id={id}
          className="field"
          value={text}
          maxLength={LONGEST_MESSAGE}
          placeholder={t("lobby.messageHint")}
          autoComplete="off"
          data-testid={TEST_IDS.lobbyMessage}
          onChange={(event) => setText(event.target.value)}
        />
        <button type="submit" className="icon-button" aria-label={t("chat.send")} data-testid={TEST_IDS.lobbySend} disabled={state === "sending" || text.trim() === told}>
          <SendHorizontal size={20} aria-hidden="true" />
        </button>
      </div>
      <p className="hint" role="status">
        {state === "failed" ? t("lobby.messageFailed") : told !== "" && text.trim() === told ? t("lobby.messageShown") : ""}
      </p>
    </form>
  );
}
