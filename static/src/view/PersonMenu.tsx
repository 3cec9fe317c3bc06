import { Crown, Ellipsis, Mic, MicOff, MonitorOff, Pencil, Star, StarOff, UserRoundCheck, UserRoundMinus, UserRoundX, Video, VideoOff } from "lucide-react";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { runsMeeting, type Person } from "../state/people";
import { mayDo } from "../state/rules";
import type { HostTools } from "../hostTools";
import { useMeeting, useSelf, useVisit } from "./context";
import { useHostQuestion } from "./hostContext";
import { Menu, MenuItem } from "./Menu";
import { TEST_IDS } from "./testIds";

const ICON = 18;

/** What can be done about a person, at the end of their row or at the corner of their tile. Nothing where there is nothing. */
export function PersonMenu({ person }: { readonly person: Person }): ReactNode {
  const { t } = useTranslation();
  const self = useSelf();
  const rules = useMeeting((meeting) => meeting.rules);
  const hosts = runsMeeting(self);
  if (person.self ? !mayDo(rules, self, "rename") : !hosts) return null;
  const label = t("people.more", { name: person.name });
  return (
    <Menu
      label={label}
      floating
      button={(attributes) => (
        <button type="button" className="icon-button small" data-testid={TEST_IDS.personMenu} aria-label={label} title={label} {...attributes}>
          <Ellipsis size={ICON} aria-hidden="true" />
        </button>
      )}
    >
      {(close) => <Items person={person} close={close} hosts={hosts} owns={self?.role === "host"} />}
    </Menu>
  );
}

interface ItemsProps {
  readonly person: Person;
  readonly close: () => void;
  readonly hosts: boolean;
  /** The host's own: co-hosts name no hosts. */
  readonly owns: boolean;
}

function Items({ person, close, hosts, owns }: ItemsProps): ReactNode {
  const { t } = useTranslation();
  const visit = useVisit();
  const ask = useHostQuestion();
  const { identity, name } = person;
  const lit = useMeeting((meeting) => meeting.rules.spotlight.includes(identity));
  const does = (deed: (tools: HostTools) => Promise<boolean>) => () => {
    close();
    void visit.asHost(deed);
  };
  const asks = (kind: "remove" | "make-host") => () => {
    close();
    ask({ kind, identity, name });
  };
  // A host is not ruled by co-hosts.
  const ruled = !person.self && (person.role !== "host" || owns);
  return (
    <>
      {ruled &&
        (person.microphone === "on" ? (
          <MenuItem icon={<MicOff size={ICON} />} onSelect={does((tools) => tools.does("mute", identity))}>
            {t("host.mute")}
          </MenuItem>
        ) : (
          <MenuItem icon={<Mic size={ICON} />} onSelect={does((tools) => tools.does("ask-to-unmute", identity))}>
            {t("host.askToUnmute")}
          </MenuItem>
        ))}
      {ruled &&
        (person.camera !== null ? (
          <MenuItem icon={<VideoOff size={ICON} />} onSelect={does((tools) => tools.does("stop-video", identity))}>
            {t("host.stopVideo")}
          </MenuItem>
        ) : (
          <MenuItem icon={<Video size={ICON} />} onSelect={does((tools) => tools.does("ask-to-start-video", identity))}>
            {t("host.askToStartVideo")}
          </MenuItem>
        ))}
      {ruled && person.screen !== null && (
        <MenuItem icon={<MonitorOff size={ICON} />} onSelect={does((tools) => tools.does("stop-share", identity))}>
          {t("host.stopShare")}
        </MenuItem>
      )}
      {hosts && (
        <MenuItem
          icon={lit ? <StarOff size={ICON} /> : <Star size={ICON} />}
          onSelect={does((tools) => tools.spotlight(identity, !lit))}
        >
          {lit ? t("host.endSpotlight") : t("host.spotlight")}
        </MenuItem>
      )}
      {(person.self || ruled) && (
        <MenuItem
          icon={<Pencil size={ICON} />}
          onSelect={() => {
            close();
            ask({ kind: "rename", identity, name, self: person.self });
          }}
        >
          {person.self ? t("menu.rename") : t("host.rename")}
        </MenuItem>
      )}
      {owns && !person.self && person.role === "attendee" && (
        <MenuItem icon={<UserRoundCheck size={ICON} />} onSelect={does((tools) => tools.setRole(identity, "cohost"))}>
          {t("host.makeCohost")}
        </MenuItem>
      )}
      {owns && person.role === "cohost" && (
        <MenuItem icon={<UserRoundMinus size={ICON} />} onSelect={does((tools) => tools.setRole(identity, "attendee"))}>
          {t("host.takeCohost")}
        </MenuItem>
      )}
      {owns && !person.self && person.role !== "host" && (
        <MenuItem icon={<Crown size={ICON} />} onSelect={asks("make-host")}>
          {t("host.makeHost")}
        </MenuItem>
      )}
      {ruled && (
        <MenuItem danger icon={<UserRoundX size={ICON} />} onSelect={asks("remove")}>
          {t("host.remove")}
        </MenuItem>
      )}
    </>
  );
}
