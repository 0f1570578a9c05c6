import { describeErrors, errorValues, type Scenario } from "../bench.ts";
import type { ClientGroup } from "../client_group.ts";
import { ms, percent, us } from "../format.ts";
import { runInterleaved } from "../interleave.ts";
import { BROADCAST_SYSTEMS } from "../systems.ts";
import { Traffic } from "../traffic.ts";

const CLIENTS = 100;
const MESSAGES_PER_SECOND = 500;
/**
 * Turns are many and short, so that a stall of the machine decides the 99th percentile of one turn
 * only, and not the median of all turns.
 */
const TURNS_PER_ROUND = 24;
const TURN_SECONDS = 0.4;
/** The traffic runs this long before the measurement of a turn begins. */
const RAMP_UP_SECONDS = 0.15;
/** The turns of each system whose results are discarded, while its code is being compiled. */
const WARM_UP_TURNS = 6;

/** Clients publish at a fixed rate, whether or not the server has delivered the messages before. */
export const paced: Scenario = {
  name: "paced",
  systems: BROADCAST_SYSTEMS,
  description:
    `${CLIENTS} clients publish ${MESSAGES_PER_SECOND} messages a second at a fixed rate. The ` +
    "latency counts from the time when a message was due. All servers run at the same time and " +
    `take turns of a second, after ${WARM_UP_TURNS} turns for warm-up.`,
  columns: [
    ["Latency p50 / p99, ms", ({ p50, p99 }) => `${ms(p50)} / ${ms(p99)}`],
    ["CPU per delivery, µs", ({ cpu }) => us(cpu)],
    ["Share of a core: server", ({ serverShare }) => percent(serverShare)],
    ["Delivery errors", describeErrors],
  ],
  async *measure(systems, bench, rounds) {
    yield* runInterleaved(systems, [{
      clients: () => CLIENTS,
      turns: rounds * TURNS_PER_ROUND,
      warmUpTurns: WARM_UP_TURNS,
      measure({ group, server }) {
        const traffic = new Traffic(group);
        const publisher = new PacedPublisher(traffic, group, MESSAGES_PER_SECOND);
        publisher.run(RAMP_UP_SECONDS);
        const from = bench.readCpu(server);
        traffic.resetFigures();
        publisher.run(TURN_SECONDS);
        const figures = bench.figures(traffic, from, server);
        const values = { ...figures, ...errorValues(traffic.finish(), group) };
        const situation = `${MESSAGES_PER_SECOND} messages a second, ${CLIENTS} clients`;
        return { situation, values };
      },
    }], bench);
  },
};

/** Publishes at a fixed rate; the clients take turns as senders. */
export class PacedPublisher {
  readonly #traffic: Traffic;
  readonly #group: ClientGroup;
  readonly #intervalMs: number;
  #dueAt = performance.now();

  constructor(traffic: Traffic, group: ClientGroup, messagesPerSecond: number) {
    this.#traffic = traffic;
    this.#group = group;
    this.#intervalMs = 1000 / messagesPerSecond;
  }

  /** Publishes the messages of the next `seconds`. */
  run(seconds: number): void {
    const { clients } = this.#group;
    for (const end = this.#dueAt + seconds * 1000; this.#dueAt < end;) {
      const waitMs = this.#dueAt - performance.now();
      if (waitMs > 0) {
        this.#group.poll(waitMs);
        continue;
      }
      const sender = clients[this.#traffic.publishedCount % clients.length];
      this.#traffic.publish(sender, this.#dueAt);
      this.#dueAt += this.#intervalMs;
      // A publisher that is late must read too, or the unread data only grows.
      this.#group.poll(0);
    }
  }
}
