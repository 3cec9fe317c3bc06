import { Check } from "lucide-react";
import { useEffect, useId, useRef, useState, type KeyboardEvent, type ReactNode } from "react";

interface MenuProps {
  /** Draws the button that opens the menu. */
  readonly button: (attributes: ButtonAttributes) => ReactNode;
  readonly label: string;
  readonly align?: "start" | "center" | "end";
  readonly children: (close: () => void) => ReactNode;
}

interface ButtonAttributes {
  readonly id: string;
  readonly "aria-haspopup": "menu";
  readonly "aria-expanded": boolean;
  readonly "aria-controls": string | undefined;
  readonly onClick: () => void;
}

const ITEMS = "[role=menuitem]:not([aria-disabled=true]), [role=menuitemradio]:not([aria-disabled=true])";

/** A menu over its button (WAI-ARIA menu button): arrows move, Esc and a click elsewhere close, focus returns. */
export function Menu({ button, label, align = "center", children }: MenuProps): ReactNode {
  const [open, setOpen] = useState(false);
  const id = useId();
  const root = useRef<HTMLDivElement>(null);
  const list = useRef<HTMLDivElement>(null);

  const close = (): void => {
    setOpen(false);
    document.getElementById(`${id}-button`)?.focus();
  };

  useEffect(() => {
    if (!open) return;
    const first = list.current?.querySelector<HTMLElement>("[aria-checked=true]") ?? list.current?.querySelector<HTMLElement>(ITEMS);
    (first ?? list.current)?.focus();
    const elsewhere = (event: Event): void => {
      if (event.target instanceof Node && !root.current?.contains(event.target)) setOpen(false);
    };
    document.addEventListener("pointerdown", elsewhere);
    document.addEventListener("focusin", elsewhere);
    return () => {
      document.removeEventListener("pointerdown", elsewhere);
      document.removeEventListener("focusin", elsewhere);
    };
  }, [open]);

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

  return (
    <div className="menu-root" ref={root}>
      {button({
        id: `${id}-button`,
        "aria-haspopup": "menu",
        "aria-expanded": open,
        "aria-controls": open ? id : undefined,
        onClick: () => setOpen((before) => !before),
      })}
      {open && (
        <div className={`menu menu-${align}`} id={id} role="menu" aria-label={label} tabIndex={-1} ref={list} onKeyDown={move}>
          {children(close)}
        </div>
      )}
    </div>
  );
}

interface ItemProps {
  readonly icon?: ReactNode;
  readonly children: ReactNode;
  readonly onSelect: () => void;
}

export function MenuItem({ icon, children, onSelect }: ItemProps): ReactNode {
  return (
    <button type="button" className="menu-item" role="menuitem" tabIndex={-1} onClick={onSelect}>
      <span className="menu-icon">{icon}</span>
      <span className="menu-text">{children}</span>
    </button>
  );
}

export function MenuChoice({ checked, children, onSelect }: Omit<ItemProps, "icon"> & { readonly checked: boolean }): ReactNode {
  return (
    <button type="button" className="menu-item" role="menuitemradio" aria-checked={checked} tabIndex={-1} onClick={onSelect}>
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
