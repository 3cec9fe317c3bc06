import { ChevronUp, Lock, Ellipsis, Link, Maximize, MessageSquareText, Mic, MicOff, Minimize, Keyboard, MonitorUp, PhoneOff, Settings, Users, Video, VideoOff } from "lucide-react";
import { useEffect, useRef, type KeyboardEvent, type ReactNode } from "react";
import { useTranslation } from "react-i18next";
import type { InputKind } from "../state/devices";
import { runsMeeting } from "../state/people";
import { useMeeting, useSelf, useVisit } from "./context";
import { deviceLabel } from "./DevicePickers";
import { HostMenu } from "./HostMenu";
import { LeaveMenu } from "./LeaveMenu";
import { LevelBar } from "./LevelBar";
import { Menu, MenuChoice, MenuGroup, MenuItem } from "./Menu";
import { TEST_IDS } from "./testIds";
import { useCopyLink } from "./useCopyLink";

export type DialogName = "settings" | "shortcuts";

const ICON = 22;
/** More than this is shown as "99+". */
const MOST_SHOWN = 99;

/** The bar at the bottom: own devices at the left, the meeting in the middle, the way out at the right. */
export function Toolbar({ onDialog }: { readonly onDialog: (name: DialogName) => void }): ReactNode {
  const { t } = useTranslation();
  const visit = useVisit();
  const self = useSelf();
  const panel = useMeeting((meeting) => meeting.panel);
  const unread = useMeeting((meeting) => meeting.chat.unread);
  const count = useMeeting((meeting) => meeting.people.size);
  const waiting = useMeeting((meeting) => meeting.lobby.waiting.length);
  const sharing = self !== null && self.screen !== null;
  const hosts = runsMeeting(self);
  const toggle = (name: "chat" | "people") => () => visit.store.dispatch({ type: "panel-toggled", panel: name });
  return (
    <footer className="toolbar-area">
      <div className="toolbar" role="toolbar" tabIndex={-1} aria-label={t("toolbar.name")} data-area="toolbar" onKeyDown={moveFocus}>
        <div className="toolbar-part">
          <MicrophoneButton />
          <CameraButton />
        </div>
        <div className="toolbar-part center">
          {canShare() && (
            <ToolButton
              className={sharing ? "tool share active" : "tool share"}
              label={sharing ? t("toolbar.stopShare") : t("toolbar.share")}
              other={sharing ? t("toolbar.share") : t("toolbar.stopShare")}
              testId={TEST_IDS.toolbarShare}
              icon={<MonitorUp size={ICON} aria-hidden="true" />}
              onClick={() => void visit.toggleShare()}
            />
          )}
          <ToolButton
            className={panel === "chat" ? "tool active" : "tool"}
            label={t("toolbar.chat")}
            description={unread > 0 ? t("toolbar.unread", { count: unread }) : undefined}
            expanded={panel === "chat"}
            testId={TEST_IDS.toolbarChat}
            icon={<MessageSquareText size={ICON} aria-hidden="true" />}
            badge={unread > 0 ? { count: unread, alert: true } : undefined}
            onClick={toggle("chat")}
          />
          <ToolButton
            className={panel === "people" ? "tool active" : "tool"}
            label={t("toolbar.participants")}
            description={waiting > 0 ? `${t("people.count", { count })}, ${t("lobby.count", { count: waiting })}` : t("people.count", { count })}
            expanded={panel === "people"}
            testId={TEST_IDS.toolbarParticipants}
            icon={<Users size={ICON} aria-hidden="true" />}
            badge={waiting > 0 ? { count: waiting, alert: true } : { count, alert: false }}
            onClick={toggle("people")}
          />
          {hosts && <HostMenu icon={ICON} />}
          <MoreMenu sharing={sharing} onDialog={onDialog} />
        </div>
        <div className="toolbar-part end">
          {self?.role === "host" ? (
            <LeaveMenu icon={ICON} />
          ) : (
            <button type="button" className="tool leave" data-testid={TEST_IDS.toolbarLeave} aria-label={t("toolbar.leave")} onClick={() => void visit.leave()}>
              <PhoneOff size={ICON} aria-hidden="true" />
              <span className="tool-label">{t("toolbar.leave")}</span>
            </button>
          )}
        </div>
      </div>
    </footer>
  );
}

/** Arrows move along the toolbar (WAI-ARIA toolbar); an open menu has them for itself. */
function moveFocus(event: KeyboardEvent<HTMLElement>): void {
  const { key, currentTarget, target } = event;
  if (event.defaultPrevented || !(target instanceof HTMLElement) || target.closest("[role=menu]")) return;
  const buttons = [...currentTarget.querySelectorAll("button")].filter((button) => getComputedStyle(button).display !== "none");
  const at = buttons.findIndex((button) => button === target);
  const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: -1 }[key];
  if (to === undefined || at < 0) return;
  event.preventDefault();
  buttons.at(to % buttons.length)?.focus();
}

export function canShare(): boolean {
  return (navigator as Partial<Navigator>).mediaDevices?.getDisplayMedia !== undefined;
}

interface ToolButtonProps {
  readonly className: string;
  readonly label: string;
  readonly icon: ReactNode;
  readonly testId: string;
  readonly onClick: () => void;
  /** A number at the icon; the description says it in words. */
  readonly badge?: { readonly count: number; readonly alert: boolean } | undefined;
  readonly description?: string | undefined;
  readonly expanded?: boolean;
  /** A host does not allow it: the press says so. */
  readonly locked?: boolean;
  /** The label in the button's other state: it keeps its room, so that a press moves nothing. */
  readonly other?: string;
}

function ToolButton({ className, label, icon, testId, onClick, badge, description, expanded, locked = false, other }: ToolButtonProps): ReactNode {
  const name = description === undefined ? label : `${label}, ${description}`;
  return (
    <button type="button" className={className} data-testid={testId} aria-label={name} aria-expanded={expanded} onClick={onClick}>
      <span className="tool-icon">
        {icon}
        {locked && (
          <span className="tool-lock" aria-hidden="true">
            <Lock size={12} />
          </span>
        )}
        {/* Drawn by the style: text of a button has to be in its name word for word (WCAG 2.5.3), for who speaks it. */}
        {badge !== undefined && (
          <span className={badge.alert ? "badge alert" : "badge"} aria-hidden="true" data-count={badge.count > MOST_SHOWN ? `${MOST_SHOWN}+` : badge.count} />
        )}
      </span>
      <span className="tool-label">
        <span>{label}</span>
        {other !== undefined && (
          <span className="other" aria-hidden="true">
            {other}
          </span>
        )}
      </span>
    </button>
  );
}

function MicrophoneButton(): ReactNode {
  const { t } = useTranslation();
  const visit = useVisit();
  const self = useSelf();
  const on = self?.microphone === "on";
  const ring = useRef<HTMLSpanElement>(null);
  useEffect(() => visit.onLevel((level) => ring.current?.style.setProperty("--level", level.toFixed(2))), [visit]);
  const permitted = useMeeting((meeting) => meeting.permitted.microphone);
  const hint = useMeeting((meeting) => meeting.mutedHint.until > 0) && permitted;
  const talking = useMeeting((meeting) => meeting.talking);
  return (
    <div className="device-button">
      {hint && !on && (
        <div className="bubble" role="status">
          <strong>{t("hint.muted")}</strong>
          <span>{t("hint.mutedKeys")}</span>
        </div>
      )}
      {talking && (
        <div className="bubble talking" role="status">
          <strong>{t("hint.talking")}</strong>
        </div>
      )}
      <ToolButton
        className={on ? "tool" : "tool off"}
        label={on ? t("toolbar.mute") : t("toolbar.unmute")}
        description={on || permitted ? undefined : t("toolbar.microphoneClosed")}
        locked={!on && !permitted}
        other={on ? t("toolbar.unmute") : t("toolbar.mute")}
        testId={TEST_IDS.toolbarMicrophone}
        icon={
          on ? (
            <span className="ring" ref={ring}>
              <Mic size={ICON} aria-hidden="true" />
            </span>
          ) : (
            <MicOff size={ICON} aria-hidden="true" />
          )
        }
        onClick={() => void visit.toggle("microphone")}
      />
      <DeviceMenu kind="microphone" />
    </div>
  );
}

function CameraButton(): ReactNode {
  const { t } = useTranslation();
  const visit = useVisit();
  const self = useSelf();
  const on = self !== null && self.camera !== null;
  const permitted = useMeeting((meeting) => meeting.permitted.camera);
  return (
    <div className="device-button">
      <ToolButton
        className={on ? "tool" : "tool off"}
        label={on ? t("toolbar.stopVideo") : t("toolbar.startVideo")}
        description={on || permitted ? undefined : t("toolbar.cameraClosed")}
        locked={!on && !permitted}
        other={on ? t("toolbar.startVideo") : t("toolbar.stopVideo")}
        testId={TEST_IDS.toolbarCamera}
        icon={on ? <Video size={ICON} aria-hidden="true" /> : <VideoOff size={ICON} aria-hidden="true" />}
        onClick={() => void visit.toggle("camera")}
      />
      <DeviceMenu kind="camera" />
    </div>
  );
}

function DeviceMenu({ kind }: { readonly kind: InputKind }): ReactNode {
  const { t } = useTranslation();
  const label = t(`device.choose.${kind}`);
  return (
    <Menu
      label={label}
      align="start"
      button={(attributes) => (
        <button type="button" className="chevron" aria-label={label} title={label} {...attributes}>
          <ChevronUp size={16} aria-hidden="true" />
        </button>
      )}
    >
      {(close) => (
        <>
          <DeviceChoices kind={kind} close={close} />
          {kind === "microphone" && (
            <>
              <div className="menu-level" aria-hidden="true">
                <LevelBar />
              </div>
              <DeviceChoices kind="speaker" close={close} />
            </>
          )}
        </>
      )}
    </Menu>
  );
}

function DeviceChoices({ kind, close }: { readonly kind: InputKind | "speaker"; readonly close: () => void }): ReactNode {
  const { t } = useTranslation();
  const visit = useVisit();
  const { list, chosen } = useMeeting((meeting) => meeting.devices[kind]);
  const choosable = useMeeting((meeting) => kind !== "speaker" || meeting.devices.speaker.choosable);
  if (!choosable) return null;
  const current = list.some((device) => device.id === chosen) ? chosen : list[0]?.id;
  return (
    <MenuGroup title={t(`device.${kind}`)}>
      {list.length === 0 && <p className="menu-none">{t("device.none")}</p>}
      {list.map((device, index) => (
        <MenuChoice
          key={device.id}
          checked={device.id === current}
          onSelect={() => {
            close();
            void visit.choose(kind, device.id);
          }}
        >
          {deviceLabel(device, index, t)}
        </MenuChoice>
      ))}
    </MenuGroup>
  );
}

function MoreMenu({ sharing, onDialog }: { readonly sharing: boolean; readonly onDialog: (name: DialogName) => void }): ReactNode {
  const { t } = useTranslation();
  const visit = useVisit();
  const copy = useCopyLink();
  const full = document.fullscreenElement !== null;
  return (
    <Menu
      label={t("toolbar.more")}
      button={(attributes) => (
        <button type="button" className="tool" data-testid={TEST_IDS.toolbarMore} aria-label={t("toolbar.more")} {...attributes}>
          <span className="tool-icon">
            <Ellipsis size={ICON} aria-hidden="true" />
          </span>
          <span className="tool-label">{t("toolbar.more")}</span>
        </button>
      )}
    >
      {(close) => {
        const item = (icon: ReactNode, words: string, action: () => void, className?: string): ReactNode => (
          <div className={className} role="none">
            <MenuItem
              icon={icon}
              onSelect={() => {
                close();
                action();
              }}
            >
              {words}
            </MenuItem>
          </div>
        );
        return (
          <>
            {canShare() &&
              item(
                <MonitorUp size={18} aria-hidden="true" />,
                sharing ? t("menu.stopShare") : t("menu.share"),
                () => void visit.toggleShare(),
                "narrow-only",
              )}
            {item(<Link size={18} aria-hidden="true" />, t("menu.copyLink"), copy)}
            {document.fullscreenEnabled &&
              item(
                full ? <Minimize size={18} aria-hidden="true" /> : <Maximize size={18} aria-hidden="true" />,
                full ? t("menu.exitFullScreen") : t("menu.fullScreen"),
                toggleFullScreen,
              )}
            {item(<Keyboard size={18} aria-hidden="true" />, t("menu.shortcuts"), () => onDialog("shortcuts"), "wide-only")}
            {item(<Settings size={18} aria-hidden="true" />, t("menu.settings"), () => onDialog("settings"))}
          </>
        );
      }}
    </Menu>
  );
}

export function toggleFullScreen(): void {
  if (document.fullscreenElement) void document.exitFullscreen();
  // Refused where the page is embedded without permission.
  else void document.documentElement.requestFullscreen().catch(() => undefined);
}
