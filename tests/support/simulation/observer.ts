import { Redis } from "ioredis";
import { PASSWORD } from "../redis.ts";
import { type Appended, type History, parseText } from "./transcript.ts";

/** The channel of the default room. */
export const ROOM_CHANNEL = "chat";

/** The channel on which the simulation says what it did to the log: see damage.lua. */
export const DAMAGE_CHANNEL = "simulation-damage";

/** What the payloads of instances begin with. */
const MARK = "\x1e";

type FinalLog = Pick<History, "final" | "finalIds">;

/** Resolves when damage.lua has looked at the log. */
export type Watched = () => Promise<FinalLog>;

/** Watches every Redis of a simulation on a connection of its own, which no fault interrupts. */
export class Observer {
  readonly appended: Appended[] = [];
  /** Every message that a log lost. */
  readonly lost = new Set<Appended>();
  /** What is wrong with the logs themselves. */
  readonly violations: string[] = [];
  readonly #byKey = new Map<string, Appended>();
  readonly #connections: Redis[] = [];

  /**
   * Watches one Redis.
   *
   * @returns a function that resolves to what damage.lua finds next: the messages that the log
   * should have by then, and the ids of those that it has
   */
  async watch(port: number): Promise<Watched> {
    const redis = new Redis({ host: "127.0.0.1", port, password: PASSWORD, lazyConnect: true });
    redis.on("error", () => {});
    this.#connections.push(redis);
    let log: readonly Appended[] = [];
    let looked = Promise.withResolvers<FinalLog>();
    let copy: readonly Appended[] = [];
    redis.on("message", (channel, payload) => {
      if (channel === ROOM_CHANNEL) {
        for (const line of payload.replace(MARK, "").split("\n")) {
          log = this.#append(log, line);
        }
        return;
      }
      const damage: { how: string; ids: string } = JSON.parse(payload);
      const { how } = damage;
      const ids = damage.ids.split(" ").filter((id) => id !== "");
      if (how === "look") return looked.resolve({ final: log, finalIds: ids });
      const before = log;
      if (how === "copy") copy = log;
      if (how === "restore") log = copy;
      // What is missing at the head or in the middle is still between the messages around it.
      const end = log.findLastIndex(({ id }) => ids.includes(id));
      log = log.slice(0, end + 1);
      for (const appended of before) if (!log.includes(appended)) this.lost.add(appended);
    });
    await redis.connect();
    await redis.subscribe(ROOM_CHANNEL, DAMAGE_CHANNEL);
    return () => (looked = Promise.withResolvers<FinalLog>()).promise;
  }

  close(): void {
    for (const connection of this.#connections) connection.disconnect();
  }

  #append(log: readonly Appended[], line: string): readonly Appended[] {
    const message = parseMessage(line);
    const parts = message && parseText(message.text);
    if (!message || !parts) return log;
    const key = keyOf(message.id, message.text);
    const known = this.#byKey.get(key);
    if (known) return log.includes(known) ? log : [...log, known];
    const appended: Appended = {
      ...message,
      at: performance.now(),
      index: this.appended.length,
      before: log,
    };
    this.#checkAppend(appended, parts);
    this.#byKey.set(key, appended);
    this.appended.push(appended);
    return [...log, appended];
  }

  #checkAppend(
    { id, text, user, before }: Appended,
    parts: { user: string; way: string; n: number },
  ) {
    if (user !== parts.user) this.violations.push(`${id} "${text}" is logged as one of ${user}`);
    for (const other of before) {
      const { user, way, n } = parseText(other.text)!;
      if (other.text === text) {
        this.violations.push(`"${text}" is twice in the log: ${other.id}, ${id}`);
      } else if (user === parts.user && way === parts.way && n > parts.n) {
        this.violations.push(
          `sender's order: "${other.text}" (${other.id}) before "${text}" (${id})`,
        );
      }
    }
  }
}

/** Identifies an appended message: a text may be appended again after Redis has lost it. */
export function keyOf(id: string, text: string): string {
  return `${id} ${text}`;
}

function parseMessage(line: string) {
  try {
    const { type, id, prev, user, text } = JSON.parse(line);
    return type === "message" && typeof text === "string" ? { id, prev, user, text } : undefined;
  } catch {
    return undefined;
  }
}
