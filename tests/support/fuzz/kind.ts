import type { Buffer } from "node:buffer";
import type { Dice } from "./dice.ts";

/** What the fuzzer attacks. */
export interface Target {
  readonly port: number;
  /** Where the attacker's connections come from. */
  readonly address: string;
  /** The id of the last message in the room that is attacked through Redis. */
  last(): string;
  /** Runs a command in Redis. */
  redis(...words: (string | Buffer)[]): Promise<unknown>;
}

/** The rooms of the honest users: nothing is done to the first one. */
export const [QUIET, ATTACKED, MEDDLED] = ["quiet", "attacked", "meddled"];

/** A kind of input. The inputs of a batch share what is costly, such as a connection. */
export interface Kind<Input> {
  /** How many of 100 batches are of this kind. */
  readonly share: number;
  /** The most inputs of a batch. */
  readonly size: number;
  make(dice: Dice): Input;
  /** Fails if the server does what it never should. */
  run(inputs: readonly Input[], target: Target): Promise<void>;
}
