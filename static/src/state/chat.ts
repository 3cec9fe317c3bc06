/** The chat: messages, what is unread, and where reading stopped. */

/** Longest text that can be sent, in characters; longer belongs into a document. */
export const LONGEST_TEXT = 4000;
/** Messages kept: more only slow the page down. */
const MOST_MESSAGES = 2000;

export interface Message {
  readonly id: string;
  readonly identity: string;
  readonly name: string;
  readonly own: boolean;
  readonly text: string;
  /** Milliseconds since the epoch. */
  readonly at: number;
  readonly state: "sent" | "sending" | "failed";
}

export interface Chat {
  readonly messages: readonly Message[];
  readonly unread: number;
  /** The first message that was unread when the chat was opened: the divider stands above it. */
  readonly dividerAt: string | null;
  readonly open: boolean;
}

export type ChatEvent =
  | { readonly type: "chat-received"; readonly message: Message }
  | { readonly type: "chat-sent"; readonly id: string; readonly result: "sent" | "failed" }
  | { readonly type: "chat-opened" }
  | { readonly type: "chat-closed" };

export const NO_CHAT: Chat = { messages: [], unread: 0, dividerAt: null, open: false };

export function reduceChat(chat: Chat, event: ChatEvent): Chat {
  switch (event.type) {
    case "chat-received": {
      if (chat.messages.some((message) => message.id === event.message.id)) return chat;
      const unread = event.message.own || chat.open ? 0 : 1;
      return {
        ...chat,
        messages: [...chat.messages, event.message].slice(-MOST_MESSAGES),
        unread: chat.unread + unread,
        dividerAt: event.message.own ? null : chat.unread === 0 && unread === 1 ? event.message.id : chat.dividerAt,
      };
    }
    case "chat-sent":
      return {
        ...chat,
        messages: chat.messages.map((message) =>
          message.id === event.id ? { ...message, state: event.result } : message,
        ),
      };
    case "chat-opened":
      return { ...chat, open: true, unread: 0 };
    case "chat-closed":
      return { ...chat, open: false, dividerAt: null };
  }
}

/** A message as it is drawn: without a head when the same person wrote within two minutes before it. */
export function isContinued(message: Message, before: Message | undefined): boolean {
  return before?.identity === message.identity && message.at - before.at < 120_000;
}
