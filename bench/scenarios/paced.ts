import { audited, auditText, type Scenario } from "../bench.ts";
import { beside } from "../beside.ts";
import { ms, percent, us } from "../format.ts";
import { CHATS } from "../systems.ts";
import { Talk } from "../talk.ts";
import type { Crowd } from "../crowd.ts";

const CLIENTS = 100;
const PER_SECOND = 500;
/** So many turns a system has in a round, and so many before the first, in which its code is compiled. */
const [TURNS_A_ROUND, WARM_UP] = [2, 4];

/** Messages that come whether or not the server has done with those before. */
export const paced: Scenario = {
  name: "paced",
  systems: CHATS,
  about:
    `${PER_SECOND} messages a second to ${CLIENTS} clients, each when it is due. Latency counts ` +
    "from the time when it was due. All servers run beside one another, and one after the other has " +
    `its turn of five seconds, after ${WARM_UP} that do not count.`,
  columns: [
    ["Latency p50 / p99, ms", ({ p50, p99 }) => `${ms(p50)} / ${ms(p99)}`],
    ["CPU per delivery, µs", ({ cpu }) => us(cpu)],
    ["CPU share of the server", ({ serverShare }) => percent(serverShare)],
    ["Deliveries lost or repeated", auditText],
  ],
  async *measure(systems, bench, rounds) {
    yield* beside(systems, [{
      clients: () => CLIENTS,
      turns: rounds * TURNS_A_ROUND,
      warmUp: WARM_UP,
      measure({ crowd, server }) {
        const talk = new Talk(crowd);
        const pace = new Pace(talk, crowd, PER_SECOND);
        pace.keep(1);
        const from = bench.cpu(server);
        talk.clear();
        pace.keep(bench.isQuick ? 2 : 5);
        const figures = bench.figures(talk, from, server);
        const values = { ...figures, ...audited(talk.finish(), crowd) };
        return { situation: `${PER_SECOND} messages a second, ${CLIENTS} clients`, values };
      },
    }], bench);
  },
};

/** Says so many messages a second, everyone in turn. */
export class Pace {
  readonly #talk: Talk;
  readonly #crowd: Crowd;
  readonly #interval: number;
  #due = performance.now();

  constructor(talk: Talk, crowd: Crowd, perSecond: number) {
    this.#talk = talk;
    this.#crowd = crowd;
    this.#interval = 1000 / perSecond;
  }

  /** Goes on for so many seconds. */
  keep(seconds: number): void {
    const { clients } = this.#crowd;
    for (const end = this.#due + seconds * 1000; this.#due < end;) {
      const wait = this.#due - performance.now();
      if (wait > 0) {
        this.#crowd.pump(wait);
        continue;
      }
      this.#talk.say(clients[this.#talk.messages % clients.length], this.#due);
      this.#due += this.#interval;
      // Behind its time it must read too, or what waits only grows.
      this.#crowd.pump(0);
    }
  }
}
