import type { Message } from "../protocol/events.ts";
import { ChatError } from "./chat_error.ts";
import type { ChatEventTarget } from "./chat_events.ts";

/** How many messages wait for a loop that is slower than the room. */
const MAX_WAITING = 10_000;

/**
 * Iterates over the messages that arrive after the first call of `next`, until the client is
 * closed.
 *
 * @throws {ChatError} if the client closes for another reason than a call of `close`, or more than
 * 10,000 messages wait; the messages before that come first
 */
export async function* iterateMessages(
  client: ChatEventTarget,
): AsyncGenerator<Message, void, void> {
  const waiting: Message[] = [];
  const listening = new AbortController();
  const options = { signal: listening.signal };
  let end: ChatError | undefined;
  let wake = () => {};
  client.addEventListener("message", ({ detail }) => {
    if (waiting.length < MAX_WAITING) waiting.push(detail);
    else stop(new ChatError("too_slow", `more than ${MAX_WAITING} messages wait for the loop`));
    wake();
  }, options);
  client.addEventListener("state", ({ detail }) => {
    if (detail.error) stop(detail.error);
  }, options);

  function stop(error: ChatError): void {
    end = error;
    listening.abort();
    wake();
  }

  try {
    while (true) {
      const message = waiting.shift();
      if (message) yield message;
      else if (end?.code === "closed") return;
      else if (end) throw end;
      else await new Promise<void>((resolve) => wake = resolve);
    }
  } finally {
    listening.abort();
  }
}
