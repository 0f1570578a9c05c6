import { assertEquals } from "@std/assert";
import { JsonClient } from "./json_client.ts";
import { sleep, until } from "./wait.ts";

/** How long each of the users waits between two messages. */
const TALK_INTERVAL_MS = 500;

/** Users who talk all the time, and get all of their messages acknowledged. */
export class Talkers {
  readonly clients: readonly JsonClient[];
  /** How long each message took to be acknowledged, in milliseconds. */
  readonly latenciesMs: number[] = [];
  readonly #texts: string[] = [];
  readonly #done: Promise<unknown>;
  #isTalking = true;

  constructor(clients: readonly JsonClient[]) {
    this.clients = clients;
    this.#done = Promise.all(clients.map((client, i) => this.#talk(client, i)));
    // It is awaited at the end of the test.
    this.#done.catch(() => {});
  }

  async #talk(client: JsonClient, user: number): Promise<void> {
    for (let i = 0; this.#isTalking; i++) {
      const text = `message ${i} of user ${user}`;
      const startMs = performance.now();
      const ref = crypto.randomUUID();
      client.send({ type: "message", text, ref });
      const reply = await client.replyTo(ref);
      if (reply.type !== "ack") throw new Error(`${text}: ${JSON.stringify(reply)}`);
      this.latenciesMs.push(performance.now() - startMs);
      this.#texts.push(text);
      await sleep(TALK_INTERVAL_MS);
    }
  }

  /** Stops, and asserts that each of them has received each message once. */
  async assertNothingLost(): Promise<void> {
    this.#isTalking = false;
    await this.#done;
    const published = this.#texts.toSorted();
    for (const client of this.clients) {
      const received = () => client.texts.filter((text) => text.startsWith("message ")).toSorted();
      await until(() => received().length >= published.length, 100);
      assertEquals(received(), published);
    }
    console.log(`${this.clients.length} users have received ${published.length} messages each`);
  }
}

/** Lets users join, and talk. */
export async function joinTalkers(port: number, count: number): Promise<Talkers> {
  const names = Array.from({ length: count }, (_, i) => `user-${i}`);
  return new Talkers(
    await Promise.all(names.map((name) => JsonClient.join(port, name))),
  );
}
