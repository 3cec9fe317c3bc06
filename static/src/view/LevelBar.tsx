import { useEffect, useRef, type ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { useVisit } from "./context";

const SEGMENTS = 10;

/** How loud the own microphone is, in ten segments; drawn past React, twenty times a second. */
export function LevelBar(): ReactNode {
  const { t } = useTranslation();
  const visit = useVisit();
  const bar = useRef<HTMLSpanElement>(null);
  useEffect(
    () =>
      visit.onLevel((level) => {
        const lit = Math.round(level * SEGMENTS);
        [...(bar.current?.children ?? [])].forEach((segment, index) => segment.classList.toggle("lit", index < lit));
      }),
    [visit],
  );
  return (
    <span className="level" ref={bar} role="img" aria-label={t("device.level")}>
      {Array.from({ length: SEGMENTS }, (_, index) => (
        <span key={index} />
      ))}
    </span>
  );
}
