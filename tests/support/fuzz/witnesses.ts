import { ChatClient } from "../../../chat/client/client.ts";
import { TextClient } from "../text_client.ts";
import { QUIET } from "./kind.ts";
import { sleep, until } from "../wait.ts";

/** Enough of a pause that no limit of the server is reached, in milliseconds. */
const PAUSE_MS = 100;

const MISSING = "some messages are missing here";

const REFUSED = "message not delivered. please try again";

/**
 * Two honest users of one room, who talk all the time: ann is a client of the JSON protocol, bob
 * has a text client, and sends again what the server has refused.
 */
export class Witnesses {
  readonly room: string;
  readonly problems: string[] = [];
  readonly #ann: ChatClient;
  readonly #bob: TextClient;
  readonly #heardByAnn = { ann: 0, bob: 0 };
  #heardByBob = 0;
  /** Whether the server has said that messages may be missing: only then may they be. */
  #isAnnTold = false;
  #isBobTold = false;
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
      this.#isAnnTold = true;
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

  /** Waits until all that they have said is heard. */
  async finish(): Promise<void> {
    this.#isOver = true;
    await Promise.all(this.#talks);
    await until(() => this.#heardByAnn.ann === this.#sent.ann, 20)
      .catch(() => this.problems.push("ann does not hear all of her own messages"));
    await until(() => (this.#readBob(), this.#heardByBob === this.#sent.ann), 20)
      .catch(() => this.problems.push(`bob hears ${this.#heardByBob} of ${this.#sent.ann}`));
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
      while (this.#heardByAnn.bob < number) {
        const start = this.#refusals();
        this.#bob.send(`bob says ${number}`);
        const isOver = () => this.#heardByAnn.bob >= number || this.#refusals() > start;
        await until(isOver, 5).catch(() => this.problems.push(`bob's ${number} is lost`));
        if (this.problems.length > 0) return;
        if (this.#heardByAnn.bob < number) await sleep(PAUSE_MS);
      }
    }
  }

  #hear(user: "ann" | "bob", text: string): void {
    const number = Number(new RegExp(`^${user} says (\\d+)$`).exec(text)?.[1] ?? NaN);
    const expected = this.#heardByAnn[user] + 1;
    const isRight = number === expected || number > expected && this.#isAnnTold;
    if (isRight) this.#heardByAnn[user] = number;
    else if (!isNaN(number)) this.problems.push(`ann hears ${user}'s ${number}, not ${expected}`);
  }

  /** How often bob has seen that a message was refused. */
  #refused = 0;
  #refusals(): number {
    this.#readBob();
    return this.#refused;
  }

  #readBob(): void {
    for (const frame of this.#bob.frames.splice(0)) {
      if (frame === REFUSED) this.#refused++;
      if (frame === MISSING) this.#isBobTold = true;
      const number = /^ann: ann says (\d+)$/.exec(frame)?.[1];
      if (number === undefined) continue;
      const expected = this.#heardByBob + 1;
      const isRight = Number(number) === expected || Number(number) > expected && this.#isBobTold;
      if (isRight) this.#heardByBob = Number(number);
      else this.problems.push(`bob hears ann's ${number}, not ${this.#heardByBob + 1}`);
    }
  }
}
