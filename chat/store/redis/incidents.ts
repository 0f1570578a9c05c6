import { getLogger } from "@logtape/logtape";
import { StoreUnavailable } from "../store.ts";
import { cleanWords } from "./redis_errors.ts";

const logger = getLogger(["chat", "redis"]);

/** The time between two checks while an incident is open, in milliseconds. */
const CHECK_INTERVAL_MS = 1_000;

/** An incident is over when no command has failed for this long, in milliseconds. */
const QUIET_MS = 5_000;

/** The same for what the probe cannot see: a room is swept only now and then. */
const UNPROBED_QUIET_MS = 30_000;
const UNPROBED = ["WRONGTYPE", "ERR"];

/** For the code of an error reply: what is wrong, and what it means for users. */
const STATES: Readonly<Record<string, readonly [state: string, effect: string]>> = {
  OOM: ["Redis is out of memory", "messages and joins are refused"],
  MISCONF: ["Redis cannot write to its disk", "messages and joins are refused"],
  NOREPLICAS: ["Redis has too few replicas to write", "messages and joins are refused"],
  NOPERM: ["the Redis user lacks a right", "what needs it is refused"],
  BUSY: ["a script keeps Redis busy", "everything is refused"],
  WRONGTYPE: ["a key of the chat has a wrong type", "what needs it is refused"],
  ERR: ["Redis refuses commands", "messages or joins may be refused"],
};

interface Refusal {
  readonly code: string;
  /** What Redis says. */
  readonly words: string;
  /** The command that the user may not call, or else what Redis says. */
  readonly detail: string;
}

interface Incident {
  readonly startedAt: number;
  lastFailureAt: number;
  failedCommands: number;
  latest: Refusal;
  /** The details that the log shows. */
  readonly logged: Set<string>;
}

/**
 * The kinds of trouble in which Redis answers but refuses commands, one for each code of an error
 * reply. The log shows a line when an incident begins, and one when it is over.
 */
export class Incidents {
  readonly #probe: () => Promise<string | null>;
  /** The open incidents by code. */
  readonly #open = new Map<string, Incident>();
  #timer: ReturnType<typeof setInterval> | undefined;
  #lastCheck: Promise<void> = Promise.resolve();
  #lastCheckAt = -CHECK_INTERVAL_MS;

  /**
   * @param probe tries everything that the chat needs of Redis; resolves to the first error reply,
   * or to `null`
   */
  constructor(probe: () => Promise<string | null>) {
    this.#probe = probe;
  }

  /** Notes that Redis refused a command. */
  note(message: string): void {
    this.#note(message).failedCommands++;
  }

  /**
   * Checks whether Redis does everything that the chat needs. Calls within a second share one
   * check.
   *
   * @throws {StoreUnavailable} if not; the message says why in a few words
   */
  check(): Promise<void> {
    const now = performance.now();
    if (now - this.#lastCheckAt >= CHECK_INTERVAL_MS) {
      this.#lastCheckAt = now;
      this.#lastCheck = this.#check();
    }
    return this.#lastCheck;
  }

  /** Ends the checks. */
  close(): void {
    clearInterval(this.#timer);
  }

  async #check(): Promise<void> {
    const message = await this.#probe().catch((error: Error) => {
      // Redis may refuse even to try, for example while a script keeps it busy.
      if (/^[A-Z]+ /.test(error.message)) return error.message;
      throw error;
    });
    if (message === null) return;
    this.#note(message);
    throw new StoreUnavailable(STATES[parseRefusal(message).code][0]);
  }

  #note(message: string): Incident {
    const refusal = parseRefusal(message);
    const now = performance.now();
    let incident = this.#open.get(refusal.code);
    if (!incident) {
      incident = {
        startedAt: now,
        lastFailureAt: now,
        failedCommands: 0,
        latest: refusal,
        logged: new Set(),
      };
      this.#open.set(refusal.code, incident);
      this.#timer ??= setInterval(() => this.#review(), CHECK_INTERVAL_MS);
      // The probe knows more of some errors: which command in a script was refused.
      if (this.#open.size === 1) queueMicrotask(() => this.#review());
    }
    incident.lastFailureAt = now;
    if (refusal.detail !== refusal.words || incident.latest.detail === incident.latest.words) {
      incident.latest = refusal;
    }
    return incident;
  }

  async #review(): Promise<void> {
    // Whatever fails is noted. While the connection is down, nobody knows.
    const isOver = await this.#check().then(() => true, () => false);
    for (const [code, incident] of this.#open) {
      const [state, effect] = STATES[code];
      const { words, detail } = incident.latest;
      if (!incident.logged.has(detail)) logger.error`${state}: ${effect} (${words})`;
      incident.logged.add(detail);
      const quietMs = UNPROBED.includes(code) ? UNPROBED_QUIET_MS : QUIET_MS;
      if (!isOver || performance.now() - incident.lastFailureAt < quietMs) continue;
      this.#open.delete(code);
      const seconds = Math.round((incident.lastFailureAt - incident.startedAt) / 1000);
      logger
        .info`Over after ${seconds} s: ${state}; ${incident.failedCommands} commands failed`;
    }
    if (this.#open.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}

function parseRefusal(message: string): Refusal {
  const words = cleanWords(message);
  // In a script, Redis 6 and 7.0 do not call it NOPERM.
  const code = /executing the script can't|ACL failure in script/.test(words)
    ? "NOPERM"
    : Object.keys(STATES).find((code) => new RegExp(`\\b${code}\\b`).test(words)) ?? "ERR";
  const command = code === "NOPERM" ? /'([\w|-]+)' command/.exec(words)?.[1] : undefined;
  return { code, words, detail: command ?? words };
}
