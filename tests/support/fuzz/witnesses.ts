import { ChatClient } from "../../../chat/client/client.ts";
import { TextClient } from "../text_client.ts";
import { QUIET } from "./kind.ts";
import { sleep, until } from "../wait.ts";

/** Enough of a pause that no limit of the server is reached, in milliseconds. */
const PAUSE_MS = 100;

const MISSING = "some messages are missing here";

/** Bob's message is not in the log, or may not be. */
const REFUSED = /^message not delivered|^message may not have been delivered$/;

/** What no frame of a text client may have: what a terminal may take for a command. */
const CONTROL = /(?![\t\n])\p{Cc}|[\p{Bidi_Control}\u2028\u2029\u206a-\u206f\ufff9-\ufffb]/u;

/**
 * Two honest users of one room, who talk all the time: ann is a client of the JSON protocol, bob
 * has a text client. Each message has the next number. Only where the server has said that it
 * refused one, or that some are missing, may the next one that is heard have a higher number.
 */
export class Witnesses {
  readonly room: string;
  readonly problems: string[] = [];
  readonly #ann: ChatClient;
  readonly #bob: TextClient;
  /** The numbers of the last messages, and whether the next ones may have higher numbers. */
  readonly #heardByAnn = { ann: 0, bob: 0 };
  readonly #mayAnnMiss = { ann: false, bob: false };
  /** What bob had sent when he last learnt that one is refused: it may be as high as this. */
  #refused = 0;
  #heardByBob = 0;
  #mayBobMiss = false;
  readonly #sent = { ann: 0, bob: 0 };
  #isOver = false;
  readonly #talks: Promise<void>[];

  private constructor(room: string, ann: ChatClient, bob: TextClient) {
    this.room = room;
    this.#ann = ann;
    this.#bob = bob;
    ann.onmessage = ({ user, text }) => {
      if (user === "ann" || user === "bob") this.#hear(user, text);
    };
    // What another program publishes can look like a message that Redis has lost.
    ann.ongap = (after) => {
      this.#mayAnnMiss.ann = this.#mayAnnMiss.bob = true;
      if (room === QUIET) this.problems.push(`ann misses messages after ${after}`);
    };
    ann.onstate = (state, reason) => {
      if (!this.#isOver) this.problems.push(`ann is ${state}: ${reason}`);
    };
    bob.closed.then(({ code }) => this.#isOver || this.problems.push(`bob is closed: ${code}`));
    this.#talks = [this.#letAnnTalk(), this.#letBobTalk()];
  }

  /** Lets them join, each on an instance of its own. */
  static async join(room: string, portOfAnn: number, portOfBob: number): Promise<Witnesses> {
    const ann = new ChatClient(`ws://127.0.0.1:${portOfAnn}`, "ann", { room });
    const bob = await TextClient.join(portOfBob, "bob", { room });
    await ann.ready;
    return new Witnesses(room, ann, bob);
  }

  /** How many messages both have sent. */
  get sent(): number {
    return this.#sent.ann + this.#sent.bob;
  }

  /** The id of the last message of the room, or `0-0`. */
  get last(): string {
    return this.#ann.position ?? "0-0";
  }

  /** Waits until all that they have said is heard, or said to be missing. */
  async finish(): Promise<void> {
    this.#isOver = true;
    await Promise.all(this.#talks);
    const { ann: sent } = this.#sent;
    await until(() => this.#heardByAnn.ann === sent || this.#mayAnnMiss.ann, 20)
      .catch(() => this.problems.push("ann does not hear all of her own messages"));
    await until(() => (this.#readBob(), this.#heardByBob === sent || this.#mayBobMiss), 20)
      .catch(() => this.problems.push(`bob hears ${this.#heardByBob} of ${sent}`));
  }

  /** Lets them leave. */
  async leave(): Promise<void> {
    this.#isOver = true;
    await Promise.all([this.#ann.close(), this.#bob.leave()]);
  }

  async #letAnnTalk(): Promise<void> {
    for (; !this.#isOver; await sleep(PAUSE_MS)) {
      const text = `ann says ${++this.#sent.ann}`;
      this.#ann.send(text).catch((error) => this.problems.push(`${text}: ${error}`));
      this.#readBob();
    }
  }

  async #letBobTalk(): Promise<void> {
    for (; !this.#isOver && this.problems.length === 0; await sleep(PAUSE_MS)) {
      const number = ++this.#sent.bob;
      this.#bob.send(`bob says ${number}`);
      const isOver = () => {
        this.#readBob();
        return Math.max(this.#heardByAnn.bob, this.#refused) >= number || this.#mayAnnMiss.bob;
      };
      await until(isOver, 5).catch(() => this.problems.push(`bob's ${number} is lost`));
    }
  }

  #hear(user: "ann" | "bob", text: string): void {
    const number = Number(new RegExp(`^${user} says (\\d+)$`).exec(text)?.[1] ?? NaN);
    if (isNaN(number)) return;
    this.#readBob();
    const expected = this.#heardByAnn[user] + 1;
    const mayMiss = this.#mayAnnMiss[user] || user === "bob" && number <= this.#refused + 1;
    if (number !== expected && !(number > expected && mayMiss)) {
      this.problems.push(`ann hears ${user}'s ${number}, not ${expected}`);
    }
    this.#heardByAnn[user] = number;
    this.#mayAnnMiss[user] = false;
  }

  #readBob(): void {
    for (const frame of this.#bob.frames.splice(0)) {
      // Unlike a gap, it comes in no order with what ann hears: she may hear one before it later.
      if (REFUSED.test(frame)) this.#refused = this.#sent.bob;
      if (frame === MISSING) this.#mayBobMiss = true;
      if (CONTROL.test(frame)) this.problems.push(`bob receives ${JSON.stringify(frame)}`);
      const number = Number(/^ann: ann says (\d+)$/.exec(frame)?.[1] ?? NaN);
      if (isNaN(number)) continue;
      const expected = this.#heardByBob + 1;
      if (number !== expected && !(number > expected && this.#mayBobMiss)) {
        this.problems.push(`bob hears ann's ${number}, not ${expected}`);
      }
      this.#heardByBob = number;
      this.#mayBobMiss = false;
    }
  }
}
