import { makeRandom } from "../random.ts";
import type { ClientKind } from "./transcript.ts";

/** How many instances and clients there are. */
export const INSTANCES = 2;
export const KINDS: readonly ClientKind[] = [
  ...["comparing", "comparing", "trusting", "trusting", "text", "text"] as const,
];

/** What damage.lua does to the log. */
export type Damage =
  | "copy"
  | "restore"
  | "end"
  | "middle"
  | "head"
  | "delete"
  | "foreign"
  | "ahead";

/** One step of a simulation. */
export type Action =
  | { readonly type: "send"; readonly client: number; readonly messages: readonly Outgoing[] }
  | { readonly type: "reset client"; readonly client: number; readonly instance: number }
  | { readonly type: "leave"; readonly client: number; readonly instance: number; resumes: boolean }
  | { readonly type: "reset"; readonly instance: number; readonly connection: Connection }
  | { readonly type: "lose reply"; readonly instance: number; readonly forMs: number }
  | { readonly type: "block"; readonly instance: number; readonly forMs: number }
  | { readonly type: "refuse"; readonly by: "memory" | "rights"; readonly forMs: number }
  | { readonly type: "flush scripts" }
  | { readonly type: "damage"; readonly how: Damage; readonly n: number; losesRefs: boolean }
  | { readonly type: "forge"; readonly what: Forgery; readonly isMarked: boolean }
  | { readonly type: "cut replication" }
  | { readonly type: "fail over"; readonly first: number; readonly laterMs: number };

export type Connection = "chat-commands" | "chat-subscriber" | "";
export type Forgery = "next" | "far prev" | "far id" | "lower" | "repeated" | "garbage";

/** A message that a client is told to send. */
export interface Outgoing {
  readonly way: "ref" | "plain";
  /** Whether the client sends it again after a refusal, until it is acknowledged. */
  readonly isRepeated: boolean;
  /** How long its text is. */
  readonly size: "short" | "long" | "too long";
}

/** What a simulation does, in order, with the pause before each step. */
export interface Schedule {
  readonly seed: number;
  readonly historyLimit: number;
  readonly steps: readonly { readonly afterMs: number; readonly action: Action }[];
}

/** Whether a step makes Redis lose messages. */
export function losesMessages(action: Action): boolean {
  return action.type === "fail over" ||
    action.type === "damage" && !["copy", "foreign", "ahead"].includes(action.how);
}

/** Makes the schedule of a seed: always the same one for the same seed. */
export function makeSchedule(seed: number): Schedule {
  const random = makeRandom(seed);
  const below = (limit: number) => Math.floor(random() * limit);
  const pick = <T>(...choices: readonly T[]) => choices[below(choices.length)];
  const is = (probability: number) => random() < probability;

  // In some runs nothing may be missing, and so no client may be told of a gap.
  const isLossless = is(0.3);
  const failsOver = !isLossless && is(0.3);
  const historyLimit = !isLossless && is(0.2) ? 3 : 10_000;
  // A fault is likely to meet its like: each run has its favourites.
  const favourites = [below(6), below(6)];

  function send(): Action {
    const client = below(KINDS.length);
    const isText = KINDS[client] === "text";
    const messages = Array.from({ length: 1 + below(is(0.2) ? 20 : 4) }, (): Outgoing => ({
      way: isText || is(0.2) ? "plain" : "ref",
      isRepeated: is(0.9),
      size: is(0.05) ? "long" : !isText && is(0.05) ? "too long" : "short",
    }));
    return { type: "send", client, messages };
  }

  function fault(): Action {
    const client = below(KINDS.length), instance = below(INSTANCES);
    switch (is(0.5) ? pick(...favourites) : below(6)) {
      case 0:
        return is(0.6)
          ? { type: "reset client", client, instance }
          : { type: "leave", client, instance, resumes: is(0.8) };
      case 1:
        return {
          type: "reset",
          instance,
          connection: pick("chat-commands", "chat-subscriber", "chat-subscriber", ""),
        };
      case 2:
        return is(0.6)
          ? { type: "lose reply", instance, forMs: 2 + below(20) }
          : { type: "block", instance, forMs: 10 + below(80) };
      case 3:
        return is(0.3)
          ? { type: "flush scripts" }
          : { type: "refuse", by: pick("memory", "rights"), forMs: 1 + below(30) };
      case 4: {
        const harmless = ["copy", "foreign", "ahead"] as const;
        const how = isLossless ? pick(...harmless) : pick<Damage>(
          ...harmless,
          "copy",
          "restore",
          "restore",
          "end",
          "middle",
          "head",
          "delete",
        );
        const n = how === "ahead" ? 1000 + below(40_000) : below(5);
        return { type: "damage", how, n, losesRefs: how === "restore" && is(0.5) };
      }
      default:
        return {
          type: "forge",
          what: pick<Forgery>("next", "far prev", "far id", "lower", "repeated", "garbage"),
          isMarked: is(0.7),
        };
    }
  }

  const actions = Array.from({ length: 30 + below(30) }, () => is(0.55) ? send() : fault());
  if (failsOver) {
    const cut = 5 + below(actions.length - 5),
      over = cut + below(Math.min(10, actions.length - cut));
    actions.splice(over, 0, { type: "fail over", first: below(INSTANCES), laterMs: below(30) });
    actions.splice(cut, 0, { type: "cut replication" });
  }
  const steps = actions.map((action) => ({ afterMs: is(0.4) ? 0 : below(25), action }));
  return { seed, historyLimit, steps };
}
