import { useCallback, useState, type ReactNode } from "react";
import { runsMeeting, selfOf } from "../state/people";
import type { Action } from "../state/shortcuts";
import { AskDialog } from "./AskDialog";
import { Banners } from "./Banners";
import { ChatPanel } from "./ChatPanel";
import { useMeeting, useVisit } from "./context";
import { DeviceFaults } from "./DeviceFaults";
import { ElsewhereCards } from "./ElsewhereCards";
import { HostQuestionContext, type HostQuestion } from "./hostContext";
import { HostQuestions } from "./HostQuestions";
import { KnockCards } from "./KnockCards";
import { Notices } from "./Notices";
import { PeoplePanel } from "./PeoplePanel";
import { useLooks } from "./preferencesContext";
import { SettingsDialog } from "./SettingsDialog";
import { ShortcutsDialog } from "./ShortcutsDialog";
import { StageView } from "./StageView";
import { canShare, toggleFullScreen, Toolbar, type DialogName } from "./Toolbar";
import { TopBar } from "./TopBar";
import { useShortcuts } from "./useShortcuts";
import { useWakeLock } from "./useWakeLock";

/** The meeting itself. */
export function MeetingScreen(): ReactNode {
  const visit = useVisit();
  const { looks } = useLooks();
  const panel = useMeeting((meeting) => meeting.panel);
  const shaken = useMeeting((meeting) => meeting.connection.phase === "reconnecting");
  const [dialog, setDialog] = useState<DialogName | null>(null);
  const [question, setQuestion] = useState<HostQuestion | null>(null);
  useWakeLock();

  const run = useCallback(
    (action: Exclude<Action, "talk">) => {
      switch (action) {
        case "microphone":
        case "camera":
          void visit.toggle(action);
          break;
        case "share":
          if (canShare()) void visit.toggleShare();
          break;
        case "chat":
        case "people":
          visit.store.dispatch({ type: "panel-toggled", panel: action });
          break;
        case "mute-all":
          if (runsMeeting(selfOf(visit.store.state().people))) setQuestion({ kind: "mute-all" });
          break;
        case "leave":
          void visit.leave();
          break;
        case "full-screen":
          toggleFullScreen();
          break;
        case "shortcuts":
          setDialog("shortcuts");
          break;
        case "next-area":
          focusNextArea();
          break;
      }
    },
    [visit],
  );
  const talk = useCallback((holding: boolean) => void visit.talk(holding), [visit]);
  useShortcuts(looks.shortcuts, { run, talk });

  return (
    <HostQuestionContext value={setQuestion}>
      <div className={panel === null ? "meeting" : "meeting with-panel"}>
        <TopBar />
        <div className="meeting-main">
          <StageView shaded={shaken} />
          {panel === "chat" && <ChatPanel />}
          {panel === "people" && <PeoplePanel />}
          <div className="overlay">
            <Banners />
            <div className="meeting-faults">
              <DeviceFaults dismissible />
            </div>
            <AskDialog />
            <Notices />
          </div>
          <div className="knock-stack">
            <KnockCards />
            <ElsewhereCards />
          </div>
        </div>
        <Toolbar onDialog={setDialog} />
        {dialog === "settings" && <SettingsDialog devices onClose={() => setDialog(null)} />}
        {dialog === "shortcuts" && <ShortcutsDialog onClose={() => setDialog(null)} />}
        {question !== null && <HostQuestions question={question} onClose={() => setQuestion(null)} />}
      </div>
    </HostQuestionContext>
  );
}

/** Toolbar, stage, who waits, panel, and round again. */
function focusNextArea(): void {
  const areas = [...document.querySelectorAll<HTMLElement>("[data-area]")].sort(
    (a, b) => order(a.dataset["area"]) - order(b.dataset["area"]),
  );
  const at = areas.findIndex((area) => area.contains(document.activeElement));
  const next = areas[(at + 1) % areas.length];
  const target = next?.dataset["area"] === "stage" ? next : next?.querySelector<HTMLElement>("textarea, button");
  target?.focus();
}

function order(area: string | undefined): number {
  return ["toolbar", "stage", "lobby", "panel"].indexOf(area ?? "");
}
