/** What a host can do with the meeting and the people in it: each is a request that the server decides about. */

import { askInside, pathOf } from "./api";
import type { Role } from "./state/people";
import type { Allowance } from "./state/rules";

/** What can be done to one person without saying more. */
export type Deed = "mute" | "ask-to-unmute" | "ask-to-start-video" | "stop-video" | "stop-share";

export interface RulesChange {
  readonly locked?: boolean;
  readonly mute_on_entry?: boolean;
  readonly allow?: readonly Allowance[];
}

/** Each answers whether the server did it. */
export class HostTools {
  /** `token` is the access token of now. */
  constructor(
    private readonly code: string,
    private readonly token: () => string,
  ) {}

  async change(rules: RulesChange): Promise<boolean> {
    return this.request("PATCH", "/rules", rules);
  }

  /** Everybody but hosts; `mayUnmute` tells whether they may turn their microphones on again by themselves. */
  async muteAll(mayUnmute: boolean): Promise<boolean> {
    return this.request("POST", "/mute-all", { may_unmute: mayUnmute });
  }

  async does(deed: Deed, identity: string): Promise<boolean> {
    return this.request("POST", `${personPath(identity)}/${deed}`);
  }

  /** Shows somebody large to everybody, or no longer. */
  async spotlight(identity: string, on: boolean): Promise<boolean> {
    return this.request(on ? "POST" : "DELETE", `${personPath(identity)}/spotlight`);
  }

  async setRole(identity: string, role: Role): Promise<boolean> {
    return this.request("PATCH", personPath(identity), { role });
  }

  async rename(identity: string, name: string): Promise<boolean> {
    return this.request("PATCH", personPath(identity), { name });
  }

  /** `keepOut` closes the way back. */
  async remove(identity: string, keepOut: boolean): Promise<boolean> {
    return this.request("DELETE", `${personPath(identity)}?keep_out=${keepOut}`);
  }

  /** For all. */
  async end(): Promise<boolean> {
    return this.request("POST", "/end");
  }

  private async request(method: string, path: string, body?: object): Promise<boolean> {
    try {
      const response = await askInside(method, `${pathOf(this.code)}/live${path}`, this.token(), body);
      return response.ok;
    } catch {
      return false;
    }
  }
}

function personPath(identity: string): string {
  return `/participants/${encodeURIComponent(identity)}`;
}
