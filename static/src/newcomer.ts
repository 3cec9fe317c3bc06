/** As who this page comes in: name, passcode and ticket, and what this tab remembers of them. */

import type { JoinRequest } from "./api";
import type { PageData } from "./page";
import { rememberedPasscode, rememberedTicket, rememberPasscode, rememberTicket, tabSecret } from "./remembered";
import { nameIn, type Given } from "./state/given";

export class Newcomer {
  /** Under which this person comes, or has come; "" while none is known. */
  name: string;
  passcode: string;
  /** By which this person comes; "" for who comes as everybody does. */
  private ticket: string;

  /** `remembered` is the name that this person gave the last time. */
  constructor(
    private readonly page: PageData,
    given: Given,
    remembered: string,
  ) {
    this.passcode = given.passcode || rememberedPasscode(page.code);
    this.ticket = given.ticket || rememberedTicket(page.code);
    this.name = given.name || nameIn(this.ticket) || page.name || remembered;
    if (given.ticket !== "") rememberTicket(page.code, given.ticket);
  }

  /** Whether the ticket says the name: then it is not this person's to choose. */
  get isNamed(): boolean {
    return nameIn(this.ticket) !== "";
  }

  /** Whether the name is this person's own choice, which the device may keep. */
  get choosesName(): boolean {
    return this.page.origins === null && !this.isNamed;
  }

  /** What is given takes the place of what was; whether a name is known. */
  take({ name, ticket, passcode }: Pick<Given, "name" | "ticket" | "passcode">): boolean {
    if (ticket !== "") {
      this.ticket = ticket;
      rememberTicket(this.page.code, ticket);
    }
    if (passcode !== "") this.passcode = passcode;
    this.name = nameIn(this.ticket) || name || this.name;
    return this.name !== "";
  }

  request(): JoinRequest {
    const { name, passcode, ticket, page } = this;
    return { name, tab: tabSecret(), passcode, ticket, cookies: page.origins === null };
  }

  /** A ticket that is over is no reason not to come as everybody does. */
  dropTicket(): void {
    this.ticket = "";
    rememberTicket(this.page.code, "");
  }

  /** The entrance has taken the passcode: a reload does not ask for it again. */
  accepted(): void {
    rememberPasscode(this.page.code, this.passcode);
  }
}
