import type { CSSProperties, ReactNode } from "react";
import { hue, initials } from "../state/avatar";

/** Initials on the person's own colour. */
export function Avatar({ identity, name }: { readonly identity: string; readonly name: string }): ReactNode {
  const style = { "--hue": hue(identity) } as CSSProperties;
  return (
    <span className="avatar" style={style} aria-hidden="true">
      {initials(name)}
    </span>
  );
}
