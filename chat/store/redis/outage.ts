import { getLogger } from "@logtape/logtape";

const logger = getLogger(["chat", "redis"]);

/**
 * The outages of one connection in the log: a line when the connection is lost, one for each
 * further cause for which it cannot be restored, and a line when it is back.
 */
export class Outage {
  readonly #name: string;
  readonly #causes = new Set<string>();
  #startedAt = 0;
  #failedCommands = 0;

  /** @param name the name of the connection */
  constructor(name: string) {
    this.#name = name;
  }

  /** Begins an outage, or adds a cause to the present one. */
  fail(cause: string): void {
    if (this.#causes.size === 0) {
      this.#startedAt = performance.now();
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
    if (this.#causes.size > 0) {
      const seconds = Math.round((performance.now() - this.#startedAt) / 1000);
      const cost = `${seconds} s; ${this.#failedCommands} commands failed`;
      logger.info`Redis connection ${this.#name} is back after ${cost}`;
    }
    this.#causes.clear();
    this.#failedCommands = 0;
  }
}
