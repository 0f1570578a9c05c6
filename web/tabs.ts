/**
 * What the tabs of one browser tell one another, so that a user can go on in another tab.
 *
 * @module
 */

/** How long other tabs have to answer. */
const ANSWER_TIMEOUT_MS = 200;

/** How long another tab may take to leave: a client gives up after two seconds. */
const LEAVE_TIMEOUT_MS = 3_000;

type Kind = "who is here" | "here" | "let go" | "gone";

interface TabMessage {
  readonly kind: Kind;
  readonly room: string;
  readonly user: string;
}

/**
 * Answers other tabs for a user who is in a room in this one.
 *
 * @param letGo leaves the room, because another tab takes it
 * @returns a function that ends it
 */
export function announce(room: string, user: string, letGo: () => Promise<void>): () => void {
  const channel = openChannel();
  channel.onmessage = async ({ data }: MessageEvent<TabMessage>) => {
    if (data.room !== room || data.user !== user) return;
    if (data.kind === "who is here") tell({ ...data, kind: "here" });
    if (data.kind !== "let go") return;
    await letGo();
    tell({ ...data, kind: "gone" });
  };
  return () => channel.close();
}

/** Tells whether another tab has the user in the room. A tab that sleeps does not answer. */
export function isInOtherTab(room: string, user: string): Promise<boolean> {
  return ask({ kind: "who is here", room, user }, "here", ANSWER_TIMEOUT_MS);
}

/** Makes another tab leave the room, and waits until it has. */
export async function takeFromOtherTab(room: string, user: string): Promise<void> {
  await ask({ kind: "let go", room, user }, "gone", LEAVE_TIMEOUT_MS);
}

/** Resolves with `true` at an answer, with `false` if none comes in time. */
function ask(question: TabMessage, answer: Kind, timeoutMs: number): Promise<boolean> {
  const channel = openChannel();
  return new Promise<boolean>((resolve) => {
    channel.onmessage = ({ data }: MessageEvent<TabMessage>) => {
      if (data.kind === answer && data.room === question.room && data.user === question.user) {
        resolve(true);
      }
    };
    setTimeout(() => resolve(false), timeoutMs);
    channel.postMessage(question);
  }).finally(() => channel.close());
}

/** The channel that listens may be closed by now. */
function tell(message: TabMessage): void {
  const channel = openChannel();
  channel.postMessage(message);
  channel.close();
}

function openChannel(): BroadcastChannel {
  return new BroadcastChannel("chat");
}
