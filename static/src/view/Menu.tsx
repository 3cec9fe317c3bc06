import { Check } from "lucide-react";
import { useEffect, useId, useLayoutEffect, useRef, useState, type CSSProperties, type KeyboardEvent, type ReactNode } from "react";
import { createPortal } from "react-dom";

interface MenuProps {
  /** Draws the button that opens the menu. */
  readonly button: (attributes: ButtonAttributes) => ReactNode;
  readonly label: string;
  readonly align?: "start" | "center" | "end";
  /** Over everything, where what holds the button would cut it off: in a list that scrolls, on a tile. */
  readonly floating?: boolean;
  readonly children: (close: () => void) => ReactNode;
}

interface ButtonAttributes {
  readonly id: string;
  readonly "aria-haspopup": "menu";
  readonly "aria-expanded": boolean;
  readonly "aria-controls": string | undefined;
  readonly onClick: () => void;
}

const ITEMS = ["menuitem", "menuitemradio", "menuitemcheckbox"].map((role) => `[role=${role}]:not([aria-disabled=true])`).join();
/** Between a floating menu and its button, and the edges of the window, pixels. */
const APART = 4;
const EDGE = 8;

/** A menu over its button (WAI-ARIA menu button): arrows move, Esc and a click elsewhere close, focus returns. */
export function Menu({ button, label, align = "center", floating = false, children }: MenuProps): ReactNode {
  const [open, setOpen] = useState(false);
  const id = useId();
  const root = useRef<HTMLDivElement>(null);
  const list = useRef<HTMLDivElement>(null);
  const [place, setPlace] = useState<CSSProperties>({ visibility: "hidden" });

  useLayoutEffect(() => {
    if (open && floating && root.current && list.current) setPlace(placeAt(root.current, list.current));
  }, [open, floating]);

  const close = (): void => {
    setOpen(false);
    document.getElementById(`${id}-button`)?.focus();
  };

  useEffect(() => {
    if (!open) return;
    const first = list.current?.querySelector<HTMLElement>("[role=menuitemradio][aria-checked=true]") ?? list.current?.querySelector<HTMLElement>(ITEMS);
    (first ?? list.current)?.focus();
    const elsewhere = (event: Event): void => {
      const inside = (element: Element | null): boolean => event.target instanceof Node && element?.contains(event.target) === true;
      if (!inside(root.current) && !inside(list.current)) setOpen(false);
    };
    document.addEventListener("pointerdown", elsewhere);
    document.addEventListener("focusin", elsewhere);
    const scrolled = (event: Event): void => {
      if (floating && event.target instanceof Node && !list.current?.contains(event.target)) setOpen(false);
    };
    document.addEventListener("scroll", scrolled, true);
    return () => {
      document.removeEventListener("scroll", scrolled, true);
      document.removeEventListener("pointerdown", elsewhere);
      document.removeEventListener("focusin", elsewhere);
    };
  }, [open, floating]);

  const move = (event: KeyboardEvent): void => {
    if (event.key === "Escape" || event.key === "Tab") {
      event.preventDefault();
      event.stopPropagation();
      close();
      return;
    }
    const items = [...(list.current?.querySelectorAll<HTMLElement>(ITEMS) ?? [])];
    const at = items.findIndex((item) => item === document.activeElement);
    const to = { ArrowDown: at + 1, ArrowUp: at <= 0 ? items.length - 1 : at - 1, Home: 0, End: items.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    items[to % items.length]?.focus();
  };

  const drawn = open && (
    <div
      className={floating ? "menu floating" : `menu menu-${align}`}
      id={id}
      role="menu"
      aria-label={label}
      tabIndex={-1}
      ref={list}
      style={floating ? place : undefined}
      onKeyDown={move}
    >
      {children(close)}
    </div>
  );
  return (
    <div className="menu-root" ref={root}>
      {button({
        id: `${id}-button`,
        "aria-haspopup": "menu",
        "aria-expanded": open,
        "aria-controls": open ? id : undefined,
        onClick: () => setOpen((before) => !before),
      })}
      {floating && drawn ? createPortal(drawn, document.body) : drawn}
    </div>
  );
}

/** Below the button or, where there is more room, above it; never over the window's edge. */
function placeAt(button: Element, menu: Element): CSSProperties {
  const at = button.getBoundingClientRect();
  const { width, height } = menu.getBoundingClientRect();
  const below = window.innerHeight - at.bottom - APART - EDGE;
  const above = at.top - APART - EDGE;
  const room = Math.max(below, above);
  const top = below >= Math.min(height, above) ? at.bottom + APART : at.top - APART - Math.min(height, room);
  return { top, left: Math.max(EDGE, Math.min(at.right - width, window.innerWidth - width - EDGE)), maxHeight: room };
}

interface ItemProps {
  readonly icon?: ReactNode;
  /** It takes something away from somebody. */
  readonly danger?: boolean;
  readonly children: ReactNode;
  readonly onSelect: () => void;
}

export function MenuItem({ icon, danger = false, children, onSelect }: ItemProps): ReactNode {
  return (
    <button type="button" className={danger ? "menu-item danger" : "menu-item"} role="menuitem" tabIndex={-1} onClick={onSelect}>
      <span className="menu-icon">{icon}</span>
      <span className="menu-text">{children}</span>
    </button>
  );
}

export function MenuChoice({ checked, children, onSelect }: Omit<ItemProps, "icon" | "danger"> & { readonly checked: boolean }): ReactNode {
  return (
    <button type="button" className="menu-item" role="menuitemradio" aria-checked={checked} tabIndex={-1} onClick={onSelect}>
      <span className="menu-icon">{checked && <Check size={18} aria-hidden="true" />}</span>
      <span className="menu-text">{children}</span>
    </button>
  );
}

/** Something that is so or not; the menu stays open, for more than one to be changed. */
export function MenuCheck({ checked, children, onSelect }: Omit<ItemProps, "icon" | "danger"> & { readonly checked: boolean }): ReactNode {
  return (
    <button type="button" className="menu-item" role="menuitemcheckbox" aria-checked={checked} tabIndex={-1} onClick={onSelect}>
      <span className="menu-icon">{checked && <Check size={18} aria-hidden="true" />}</span>
      <span className="menu-text">{children}</span>
    </button>
  );
}

export function MenuGroup({ title, children }: { readonly title: string; readonly children: ReactNode }): ReactNode {
  return (
    <div className="menu-group" role="group" aria-label={title}>
      <div className="menu-title" aria-hidden="true">
        {title}
      </div>
      {children}
    </div>
  );
}
