import { useId, type ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { switchLocale } from "../i18n";
import type { Theme } from "../state/preferences";
import { useVisit } from "./context";
import { DevicePickers } from "./DevicePickers";
import { Dialog } from "./Dialog";
import { useLooks } from "./preferencesContext";

const THEMES: readonly Theme[] = ["auto", "light", "dark"];
/** Languages are named in themselves. */
const LANGUAGES = [
  { locale: "ru", name: "Русский" },
  { locale: "en", name: "English" },
] as const;

export function SettingsDialog({ devices, onClose }: { readonly devices: boolean; readonly onClose: () => void }): ReactNode {
  const { t, i18n } = useTranslation();
  const visit = useVisit();
  const { looks, change } = useLooks();
  return (
    <Dialog title={t("settings.title")} onClose={onClose}>
      {devices && (
        <section className="settings-part">
          <h3>{t("settings.devices")}</h3>
          <DevicePickers />
        </section>
      )}
      <section className="settings-part">
        <h3>{t("settings.appearance")}</h3>
        <Choice
          label={t("settings.language")}
          value={i18n.language}
          options={LANGUAGES.map(({ locale, name }) => ({ value: locale, name }))}
          onChange={(value) => switchLocale(i18n, value === "ru" ? "ru" : "en")}
        />
        <Choice
          label={t("settings.theme")}
          value={looks.theme}
          options={THEMES.map((theme) => ({ value: theme, name: t(`settings.themes.${theme}`) }))}
          onChange={(value) => change({ theme: THEMES.find((theme) => theme === value) ?? "auto" })}
        />
        <Switch label={t("settings.mirror")} on={looks.mirror} onChange={(mirror) => change({ mirror })} />
        <Switch label={t("settings.shortcuts")} on={looks.shortcuts} onChange={(shortcuts) => change({ shortcuts })} />
      </section>
      <p className="version">{t("settings.version", { version: visit.page.version })}</p>
    </Dialog>
  );
}

interface ChoiceProps {
  readonly label: string;
  readonly value: string;
  readonly options: readonly { readonly value: string; readonly name: string }[];
  readonly onChange: (value: string) => void;
}

/** One of a few, all in view. */
function Choice({ label, value, options, onChange }: ChoiceProps): ReactNode {
  const name = useId();
  return (
    <fieldset className="choice">
      <legend>{label}</legend>
      <div className="segments">
        {options.map((option) => (
          <label key={option.value} className="segment">
            <input type="radio" name={name} checked={option.value === value} onChange={() => onChange(option.value)} />
            <span>{option.name}</span>
          </label>
        ))}
      </div>
    </fieldset>
  );
}

function Switch({ label, on, onChange }: { readonly label: string; readonly on: boolean; readonly onChange: (on: boolean) => void }): ReactNode {
  return (
    <label className="switch">
      <span>{label}</span>
      <input type="checkbox" role="switch" checked={on} onChange={(event) => onChange(event.target.checked)} />
    </label>
  );
}
