import { Fragment, type ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { SHOWN_KEYS } from "../state/shortcuts";
import { Dialog } from "./Dialog";
import { useLooks } from "./preferencesContext";

export function ShortcutsDialog({ onClose }: { readonly onClose: () => void }): ReactNode {
  const { t } = useTranslation();
  const { looks } = useLooks();
  return (
    <Dialog title={t("shortcuts.title")} onClose={onClose}>
      {!looks.shortcuts && <p className="hint">{t("shortcuts.off")}</p>}
      <dl className="shortcuts">
        {SHOWN_KEYS.map(({ action, keys }) => (
          <div key={action}>
            <dt>{t(`shortcuts.${action}`)}</dt>
            <dd>
              {keys.map((key, index) => (
                <Fragment key={key}>
                  {index > 0 && ` ${t("shortcuts.or")} `}
                  <kbd>{key}</kbd>
                </Fragment>
              ))}
            </dd>
          </div>
        ))}
      </dl>
    </Dialog>
  );
}
