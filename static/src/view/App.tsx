import { useEffect, type ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { useMeeting } from "./context";
import { EndPage } from "./EndPage";
import { MeetingScreen } from "./MeetingScreen";
import { Prejoin } from "./Prejoin";
import { Waiting } from "./Waiting";
import { useMeetingTitle } from "./useMeetingTitle";

/** Which screen: before, inside, or after. */
export function App({ rememberedName }: { readonly rememberedName: string }): ReactNode {
  const connection = useMeeting((meeting) => meeting.connection);
  useTitle();
  switch (connection.phase) {
    case "before":
    case "joining":
      // One place in the tree: what was typed stays while the server thinks about it.
      return connection.phase === "joining" && connection.letIn ? <Waiting /> : <Prejoin rememberedName={rememberedName} />;
    case "waiting":
      return <Waiting />;
    case "connected":
    case "reconnecting":
      return <MeetingScreen />;
    case "ended":
      return <EndPage reason={connection.reason} />;
  }
}

/** Every screen has its own title; unread messages are counted in front of it. */
function useTitle(): void {
  const { t, i18n } = useTranslation();
  const title = useMeetingTitle();
  const connection = useMeeting((meeting) => meeting.connection);
  const unread = useMeeting((meeting) => meeting.chat.unread);
  useEffect(() => {
    const before = connection.phase === "before" || connection.phase === "joining";
    const screen = connection.phase === "waiting"
      ? `${t("waiting.tab")}: ${title}`
      : before
      ? `${t("prejoin.check")}: ${title}`
      : connection.phase === "ended"
        ? t(`end.${connection.reason}.title`)
        : title;
    const count = unread > 0 && !before ? `(${unread}) ` : "";
    document.title = count + t("app.title", { screen });
  }, [t, i18n.language, title, connection, unread]);
}
