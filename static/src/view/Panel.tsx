import { X } from "lucide-react";
import { useEffect, useId, useRef, type ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { useVisit } from "./context";
import { TEST_IDS } from "./testIds";

interface PanelProps {
  readonly title: string;
  readonly opener: typeof TEST_IDS.toolbarChat | typeof TEST_IDS.toolbarParticipants;
  readonly children: ReactNode;
}

/** A panel beside the stage, a sheet over it on small screens. Esc closes it and gives the focus back. */
export function Panel({ title, opener, children }: PanelProps): ReactNode {
  const { t } = useTranslation();
  const { store } = useVisit();
  const id = useId();
  const ref = useRef<HTMLElement>(null);
  useEffect(() => {
    const panel = ref.current;
    if (!panel) return;
    const pressed = (event: KeyboardEvent): void => {
      if (event.key !== "Escape" || event.defaultPrevented) return;
      store.dispatch({ type: "panel-closed" });
    };
    panel.addEventListener("keydown", pressed);
    return () => {
      panel.removeEventListener("keydown", pressed);
      if (panel.contains(document.activeElement) || document.activeElement === document.body) {
        document.querySelector<HTMLElement>(`[data-testid=${opener}]`)?.focus();
      }
    };
  }, [store, opener]);
  return (
    <section className="panel" ref={ref} aria-labelledby={id} data-area="panel">
      <header className="panel-head">
        <h2 id={id}>{title}</h2>
        <button type="button" className="icon-button" aria-label={t("panel.close")} onClick={() => store.dispatch({ type: "panel-closed" })}>
          <X size={20} aria-hidden="true" />
        </button>
      </header>
      {children}
    </section>
  );
}
