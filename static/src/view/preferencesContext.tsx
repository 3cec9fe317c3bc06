/** What the person chose about looks and keys, and the way to change it. */

import { createContext, use, useCallback, useMemo, useState, type ReactNode } from "react";
import type { Preferences, Theme } from "../state/preferences";
import { useVisit } from "./context";

export type Looks = Pick<Preferences, "theme" | "mirror" | "shortcuts">;

interface LooksContextValue {
  readonly looks: Looks;
  readonly change: (part: Partial<Looks>) => void;
}

const LooksContext = createContext<LooksContextValue | null>(null);

export function LooksProvider({ initial, children }: { readonly initial: Looks; readonly children: ReactNode }): ReactNode {
  const visit = useVisit();
  const [looks, setLooks] = useState(initial);
  const change = useCallback(
    (part: Partial<Looks>) => {
      setLooks((before) => ({ ...before, ...part }));
      visit.remember(part);
      if (part.theme !== undefined) applyTheme(part.theme);
    },
    [visit],
  );
  const value = useMemo(() => ({ looks, change }), [looks, change]);
  return <LooksContext value={value}>{children}</LooksContext>;
}

export function useLooks(): LooksContextValue {
  const value = use(LooksContext);
  if (!value) throw new Error("a view stands outside LooksProvider");
  return value;
}

export function applyTheme(theme: Theme): void {
  document.documentElement.dataset["theme"] = theme;
}
