import { Crown, LogOut, PhoneOff, X } from "lucide-react";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { listOrder, type Person } from "../state/people";
import { useMeeting, useSelf, useVisit } from "./context";
import { Menu, MenuGroup, MenuItem } from "./Menu";
import { TEST_IDS } from "./testIds";

/** Nobody reads through a list of hundreds: those who come first in it. */
const MOST_HEIRS = 8;

/** A host's way out: for all, or alone, and then to whom the meeting goes. */
export function LeaveMenu({ icon }: { readonly icon: number }): ReactNode {
  const { t, i18n } = useTranslation();
  const visit = useVisit();
  const self = useSelf();
  const people = useMeeting((meeting) => meeting.people);
  const others = listOrder(people, i18n.language).filter((person) => !person.self);
  return (
    <Menu
      label={t("host.endTitle")}
      align="end"
      button={(attributes) => (
        <button type="button" className="tool leave" data-testid={TEST_IDS.toolbarLeave} aria-label={t("toolbar.leaveMenu")} {...attributes}>
          <PhoneOff size={icon} aria-hidden="true" />
          <span className="tool-label">{t("toolbar.leave")}</span>
        </button>
      )}
    >
      {(close) => {
        const item = (id: string, mark: ReactNode, words: string, act: () => void, danger = false): ReactNode => (
          <div role="none" data-testid={id}>
            <MenuItem
              icon={mark}
              danger={danger}
              onSelect={() => {
                close();
                act();
              }}
            >
              {words}
            </MenuItem>
          </div>
        );
        const heirs = heirsOf(self, others);
        return (
          <>
            {item(TEST_IDS.endForAll, <X size={18} aria-hidden="true" />, t("host.end"), () => void visit.asHost((tools) => tools.end()), true)}
            {item(TEST_IDS.leaveAlone, <LogOut size={18} aria-hidden="true" />, t("host.leave"), () => void visit.leave())}
            {heirs.length > 0 && (
              <MenuGroup title={t("host.leaveTo")}>
                {heirs.map((person) => (
                  <div key={person.identity} role="none" data-testid={TEST_IDS.handOver} data-name={person.name}>
                    <MenuItem
                      icon={<Crown size={18} aria-hidden="true" />}
                      onSelect={() => {
                        close();
                        void visit.handOver(person.identity);
                      }}
                    >
                      {person.name}
                    </MenuItem>
                  </div>
                ))}
              </MenuGroup>
            )}
          </>
        );
      }}
    </Menu>
  );
}

/** To whom the only host can leave the meeting; nobody while another host is there. */
function heirsOf(self: Person | null, others: readonly Person[]): readonly Person[] {
  if (self?.role !== "host" || others.some((person) => person.role === "host")) return [];
  return others.slice(0, MOST_HEIRS);
}
