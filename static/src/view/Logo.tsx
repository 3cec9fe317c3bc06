import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { useVisit } from "./context";

/** The bell that calls the assembly together, and the way to the first page; in an iframe there is none. */
export function Logo(): ReactNode {
  const { t } = useTranslation();
  const { page } = useVisit();
  const drawn = (
    <>
      <svg viewBox="0 0 32 32" width="32" height="32" aria-hidden="true">
        <rect width="32" height="32" rx="9" fill="var(--accent)" />
        <path
          d="M16 6.5c.9 0 1.6.7 1.6 1.6v.5c3 .7 4.9 3.200 4.900 6.500v3.200l1.700 2.600c.4.7 0 1.500-.8 1.500H8.600c-.8 0-1.200-.8-.8-1.500l1.700-2.600v-3.200c0-3.300 1.900-5.800 4.900-6.500v-.5c0-.9.7-1.600 1.600-1.600Zm-2.600 17.200h5.200a2.600 2.600 0 0 1-5.200 0Z"
          fill="#fff"
        />
      </svg>
      <span>{t("app.name")}</span>
    </>
  );
  return page.origins === null ? <a className="logo" href="/">{drawn}</a> : <span className="logo">{drawn}</span>;
}
