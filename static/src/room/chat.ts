/** Chat over text streams on the topic that stock LiveKit clients use. */

import type { Room, TextStreamReader } from "livekit-client";
import { LONGEST_TEXT, type Message } from "../state/chat";

/** The topic of LiveKit's own chat components. */
const TOPIC = "lk.chat";
/** Names are kept as they were when the message came: people may leave. */
export type OnMessage = (message: Message) => void;

/** Reports what others write. */
export function receiveChat(room: Room, onMessage: OnMessage): void {
  room.registerTextStreamHandler(TOPIC, (reader, { identity }) => {
    void readLimited(reader)
      .then((text) => {
        if (text.trim() !== "") onMessage(message(room, reader.info.id, identity, text, reader.info.timestamp));
      })
      // A stream that breaks off with its sender is no message.
      .catch(() => undefined);
  });
}

/** Sends to all; rejects if it could not be sent. */
export async function sendChat(room: Room, text: string): Promise<void> {
  await room.localParticipant.sendText(text, { topic: TOPIC });
}

function message(room: Room, id: string, identity: string, text: string, timestamp: number): Message {
  const sender = room.getParticipantByIdentity(identity);
  const name = sender?.name;
  // A sender's clock may be anything: times of the future would stay at the end for ever.
  const at = timestamp > 0 ? Math.min(timestamp, Date.now()) : Date.now();
  return { id, identity, name: name === undefined || name === "" ? identity : name, own: false, text, at, state: "sent" };
}

async function readLimited(reader: TextStreamReader): Promise<string> {
  let text = "";
  for await (const piece of reader) {
    text += piece;
    if (text.length >= LONGEST_TEXT) break;
  }
  return text.slice(0, LONGEST_TEXT);
}
