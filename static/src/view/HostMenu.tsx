import { MicOff, ShieldCheck } from "lucide-react";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { ALLOWANCES } from "../state/rules";
import { useMeeting, useVisit } from "./context";
import { useHostQuestion } from "./hostContext";
import { Menu, MenuCheck, MenuGroup, MenuItem } from "./Menu";
import { TEST_IDS } from "./testIds";

/** The host's shield: who may come in, and what attendees may do. */
export function HostMenu({ icon }: { readonly icon: number }): ReactNode {
  const { t } = useTranslation();
  const visit = useVisit();
  const ask = useHostQuestion();
  const rules = useMeeting((meeting) => meeting.rules);
  return (
    <Menu
      label={t("toolbar.security")}
      button={(attributes) => (
        <button type="button" className="tool" data-testid={TEST_IDS.hostMenu} aria-label={t("toolbar.security")} {...attributes}>
          <span className="tool-icon">
            <ShieldCheck size={icon} aria-hidden="true" />
          </span>
          <span className="tool-label">{t("toolbar.security")}</span>
        </button>
      )}
    >
      {(close) => (
        <>
          <MenuCheck checked={rules.locked} onSelect={() => void visit.asHost((tools) => tools.change({ locked: !rules.locked }))}>
            {t("host.lock")}
          </MenuCheck>
          <MenuCheck
            checked={rules.muteOnEntry}
            onSelect={() => void visit.asHost((tools) => tools.change({ mute_on_entry: !rules.muteOnEntry }))}
          >
            {t("host.muteOnEntry")}
          </MenuCheck>
          <MenuGroup title={t("host.allow")}>
            {ALLOWANCES.map((name) => (
              <MenuCheck
                key={name}
                checked={rules.allow.has(name)}
                onSelect={() =>
                  void visit.asHost((tools) => tools.change({ allow: ALLOWANCES.filter((other) => (other === name) !== rules.allow.has(other)) }))
                }
              >
                {t(`host.allowances.${name}`)}
              </MenuCheck>
            ))}
          </MenuGroup>
          <div className="menu-group">
            <MenuItem
              icon={<MicOff size={18} aria-hidden="true" />}
              onSelect={() => {
                close();
                ask({ kind: "mute-all" });
              }}
            >
              {t("people.muteAll")}
            </MenuItem>
          </div>
        </>
      )}
    </Menu>
  );
}
