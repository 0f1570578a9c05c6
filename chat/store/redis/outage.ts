import { getLogger } from "@logtape/logtape";

const logger = getLogger(["chat", "redis"]);

/** A connection is stable when it has lasted for this long, in milliseconds. */
const STABLE_AFTER_MS = 5_000;

/**
 * The outages of one connection in the log: a line when the connection is lost, one for each
 * further cause for which it cannot be restored, and a line when it is back.
 */
export class Outage {
  readonly #name: string;
  readonly #causes = new Set<string>();
  /** When the present outage began. */
  #startedAt: number | undefined;
  #endedAt = -Infinity;
  /** How often the connection was lost again soon after it was back. */
  #repeats = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #failedCommands = 0;

  constructor(name: string) {
    this.#name = name;
  }

  /** Begins an outage, or adds a cause to the present one. */
  fail(cause: string): void {
    const isLostAgain = this.#startedAt === undefined &&
      performance.now() - this.#endedAt < STABLE_AFTER_MS;
    if (isLostAgain) this.#repeats++;
    this.#startedAt ??= performance.now();
    if (this.#causes.size === 0) {
      logger.warn`Redis connection ${this.#name} lost (${cause}), trying again`;
    } else if (!this.#causes.has(cause)) {
      logger.warn`Redis connection ${this.#name} is still down: ${cause}`;
    }
    this.#causes.add(cause);
  }

  /** Counts a command that failed because the connection is, or was just, lost. */
  countFailedCommand(): void {
    this.#failedCommands++;
  }

  /** Ends the present outage, if there is one. */
  end(): void {
    if (this.#startedAt === undefined) return;
    const seconds = Math.round((performance.now() - this.#startedAt) / 1000);
    const cost = `${seconds} s; ${this.#failedCommands} commands failed`;
    if (this.#repeats === 0) logger.info`Redis connection ${this.#name} is back after ${cost}`;
    this.#startedAt = undefined;
    this.#endedAt = performance.now();
    this.#failedCommands = 0;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#settle(), STABLE_AFTER_MS);
    Deno.unrefTimer(this.#timer);
  }

  /** A connection that is lost again and again has no more lines until it is stable. */
  #settle(): void {
    if (this.#startedAt !== undefined) return;
    const repeats = this.#repeats;
    if (repeats > 0) {
      logger.info`Redis connection ${this.#name} is stable, lost ${repeats} times more`;
    }
    this.#repeats = 0;
    this.#causes.clear();
  }
}
