import type { Message } from "../protocol/events.ts";
import { ChatError } from "./chat_error.ts";
import type { ChatEventTarget } from "./chat_events.ts";

/** How many messages wait for a loop that is slower than the room. */
const MAX_WAITING = 10_000;

/**
 * Iterates over the messages that arrive after the first call of `next`, until the client is
 * closed.
 *
 * @param closedBy returns why the client is closed; `undefined` if it is not
 * @throws {ChatError} if the client closes for another reason than a call of `close`, or more than
 * 10,000 messages wait; the messages before that come first
 */
export async function* iterateMessages(
  client: ChatEventTarget,
  closedBy: () => ChatError | undefined,
): AsyncGenerator<Message, void, void> {
  const waiting: Message[] = [];
  const listening = new AbortController();
  const { signal } = listening;
  let tooSlow: ChatError | undefined;
  let wake = () => {};
  client.addEventListener("message", ({ detail }) => {
    if (waiting.push(detail) > MAX_WAITING) {
      waiting.pop();
      tooSlow = new ChatError("too_slow", `more than ${MAX_WAITING} messages wait`);
      listening.abort();
    }
    wake();
  }, { signal });
  client.addEventListener("state", () => wake(), { signal });
  try {
    while (true) {
      const message = waiting.shift();
      const error = tooSlow ?? closedBy();
      if (message) yield message;
      else if (error?.code === "closed") return;
      else if (error) throw error;
      else await new Promise<void>((resolve) => wake = resolve);
    }
  } finally {
    listening.abort();
  }
}
