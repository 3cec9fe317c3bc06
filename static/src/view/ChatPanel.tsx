import { MessageSquareText, SendHorizontal } from "lucide-react";
import { Fragment, useEffect, useLayoutEffect, useRef, useState, type KeyboardEvent, type ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { isContinued, LONGEST_TEXT, type Message } from "../state/chat";
import { piecesOf } from "../state/links";
import { mayDo } from "../state/rules";
import { Avatar } from "./Avatar";
import { useMeeting, useSelf, useVisit } from "./context";
import { Panel } from "./Panel";
import { TEST_IDS } from "./testIds";

/** From here on the composer says how many characters are left. */
const WARN_LEFT = 200;
/** This near to the end counts as being at the end, in pixels. */
const NEAR = 80;

export function ChatPanel(): ReactNode {
  const { t } = useTranslation();
  const self = useSelf();
  const open = useMeeting((meeting) => mayDo(meeting.rules, self, "chat"));
  return (
    <Panel title={t("chat.title")} opener={TEST_IDS.toolbarChat}>
      <Messages />
      {open ? <Composer /> : <p className="chat-closed">{t("chat.closed")}</p>}
    </Panel>
  );
}

function Messages(): ReactNode {
  const { t } = useTranslation();
  const messages = useMeeting((meeting) => meeting.chat.messages);
  const dividerAt = useMeeting((meeting) => meeting.chat.dividerAt);
  const list = useRef<HTMLDivElement>(null);
  const atEnd = useRef(true);

  useLayoutEffect(() => {
    const element = list.current;
    if (element && (atEnd.current || messages[messages.length - 1]?.own === true)) element.scrollTop = element.scrollHeight;
  }, [messages]);

  if (messages.length === 0) {
    return (
      <div className="chat-empty">
        <MessageSquareText size={32} aria-hidden="true" />
        <p>{t("chat.empty")}</p>
        <p className="hint">{t("chat.emptyHint")}</p>
      </div>
    );
  }
  return (
    <div
      className="chat-list"
      ref={list}
      role="log"
      aria-label={t("chat.title")}
      // A list that scrolls has to be reachable by keyboard (WCAG 2.1.1).
      // eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex
      tabIndex={0}
      onScroll={({ currentTarget: { scrollHeight, scrollTop, clientHeight } }) => {
        atEnd.current = scrollHeight - scrollTop - clientHeight < NEAR;
      }}
    >
      {messages.map((message, index) => (
        <Fragment key={message.id}>
          {message.id === dividerAt && (
            <div className="chat-divider" role="separator">
              <span>{t("chat.unread")}</span>
            </div>
          )}
          <MessageView message={message} continued={message.id !== dividerAt && isContinued(message, messages[index - 1])} />
        </Fragment>
      ))}
    </div>
  );
}

function MessageView({ message, continued }: { readonly message: Message; readonly continued: boolean }): ReactNode {
  const { t, i18n } = useTranslation();
  const time = new Intl.DateTimeFormat(i18n.language, { hour: "2-digit", minute: "2-digit" }).format(message.at);
  return (
    <article className={`message${message.own ? " own" : ""}${continued ? " continued" : ""}`} data-testid={TEST_IDS.chatMessage}>
      {!message.own && !continued && <Avatar identity={message.identity} name={message.name} />}
      <div className="message-body">
        {!continued && (
          <header className="message-head">
            <span className="message-name">{message.own ? t("chat.you") : message.name}</span>
            <time dateTime={new Date(message.at).toISOString()}>{time}</time>
          </header>
        )}
        <p className="message-text" dir="auto">
          {piecesOf(message.text).map((piece, index) =>
            piece.href === null ? (
              <Fragment key={index}>{piece.text}</Fragment>
            ) : (
              <a key={index} href={piece.href} target="_blank" rel="noopener noreferrer">
                {piece.text}
              </a>
            ),
          )}
        </p>
        {message.state === "failed" && <p className="message-failed">{t("chat.failed")}</p>}
      </div>
    </article>
  );
}

function Composer(): ReactNode {
  const { t } = useTranslation();
  const visit = useVisit();
  const [text, setText] = useState("");
  const field = useRef<HTMLTextAreaElement>(null);
  const left = LONGEST_TEXT - text.length;

  useEffect(() => field.current?.focus(), []);
  useLayoutEffect(() => {
    const element = field.current;
    if (!element) return;
    element.style.height = "auto";
    element.style.height = `${element.scrollHeight}px`;
  }, [text]);

  const send = (): void => {
    const trimmed = text.trim();
    if (trimmed === "") return;
    setText("");
    void visit.say(trimmed);
    field.current?.focus();
  };
  const pressed = (event: KeyboardEvent): void => {
    // Enter that ends a composition of an input method is not ours.
    if (event.key !== "Enter" || event.shiftKey || event.nativeEvent.isComposing) return;
    event.preventDefault();
    send();
  };

  return (
    <form
      className="composer"
      onSubmit={(event) => {
        event.preventDefault();
        send();
      }}
    >
      <textarea
        ref={field}
        rows={1}
        value={text}
        maxLength={LONGEST_TEXT}
        placeholder={t("chat.placeholder")}
        aria-label={t("chat.placeholder")}
        data-testid={TEST_IDS.chatInput}
        onChange={(event) => setText(event.target.value)}
        onKeyDown={pressed}
      />
      <button type="submit" className="send" aria-label={t("chat.send")} title={t("chat.send")} data-testid={TEST_IDS.chatSend} disabled={text.trim() === ""}>
        <SendHorizontal size={20} aria-hidden="true" />
      </button>
      {left < WARN_LEFT && <p className="composer-left">{t("chat.left", { count: left })}</p>}
    </form>
  );
}
