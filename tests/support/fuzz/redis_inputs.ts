import { Buffer } from "node:buffer";
import { EVENT_MARK } from "../../../chat/protocol/events.ts";
import { type Dice, utf8 } from "./dice.ts";
import { ATTACKED, type Kind, MEDDLED } from "./kind.ts";

/** Stands in an input for the id of the room's last message. */
const LAST = "{last}";

/** What other programs publish on a room's channel, marked as events or not. */
export const payloads: Kind<string> = {
  share: 10,
  size: 10,
  make(dice) {
    const lines = [makeEvent(dice), ...dice.some(dice.chance(0.2) ? 3 : 0, () => makeEvent(dice))];
    const payload = (dice.chance(0.8) ? EVENT_MARK : "") + lines.join("\n");
    return utf8(payload) + (dice.chance(0.05) ? dice.bytes(20) : "");
  },
  async run(inputs, { redis, last }) {
    await Promise.all(inputs.map((input) => {
      const bytes = Buffer.from(input.replaceAll(LAST, last()), "latin1");
      return redis("PUBLISH", `chat:${ATTACKED}`, bytes);
    }));
  },
};

function makeEvent(dice: Dice): string {
  const user = JSON.stringify(dice.text("ghost", "ann", "bob", "a:b"));
  const [id, prev] = [1, 2].map(() => JSON.stringify(makeId(dice)));
  const text = JSON.stringify(dice.text("boo"));
  return dice.object(dice.pick([
    [["type", '"message"'], ["id", id], ["prev", prev], ["user", user], ["text", text]],
    [["type", '"joined"'], ["user", user], ["session", '"s"'], ["users", "3"]],
    [["type", '"left"'], ["user", user]],
    [["type", '"replaced"'], ["user", user], ["session", '"s"'], ["former", '"t"'], ["users", "3"]],
    [["type", '"added"'], ["user", user], ["session", '"s"'], ["users", "3"]],
    [["type", '"resync"'], ["last", id], ["gap", "true"]],
    [["type", JSON.stringify(dice.text("reacted", "notice", "error"))], ["text", text]],
  ]));
}

function makeId(dice: Dice): string {
  return dice.text(LAST, LAST, "0-0", "1-0", "999999999999999-0", `${Date.now()}-5`);
}

/** What other programs put into a room's log. */
export const entries: Kind<string[]> = {
  share: 11,
  size: 5,
  make(dice) {
    const rest = dice.object([["user", '"ghost"'], ["text", JSON.stringify(dice.text("boo"))]])
      .slice(1);
    // One that claims to follow the last message would deny what is lost when the log is deleted.
    const prev = dice.pick(["0-0", "1-0", "999999999999999-0", `${Date.now()}-5`, "x"]);
    const fields = ["prev", prev, "rest", rest];
    if (dice.chance(0.3)) fields.splice(dice.below(3), dice.below(3), dice.text("rest", "prev"));
    if (fields.length % 2 === 1) fields.push(dice.text("a"));
    const id = dice.chance(0.9) ? "*" : dice.text(LAST, "1-1", `${LAST}7`, "999999999999999-0");
    return [id, ...fields];
  },
  async run(inputs, { redis, last }) {
    await Promise.all(inputs.map((input) => {
      const words = input.map((word) => word.replaceAll(LAST, last()));
      return redis("XADD", `{chat:${MEDDLED}}:log`, ...words).catch(expectReplyError);
    }));
  },
};

/** Keys that get another type, or are lost: all that a room has, and the rooms of an instance. */
export const keys: Kind<{ at: number; command: string[] }> = {
  share: 1,
  size: 1,
  make: (dice) => ({
    at: dice.below(1_000),
    command: dice.pick([["SET", "x"], ["SADD", "x"], ["HSET", "x", "y"], ["RPUSH", "x"], ["DEL"]]),
  }),
  async run([{ at, command: [name, ...args] }], { redis }) {
    const all = await redis("KEYS", `*${at % 10 === 0 ? "chat-instance-rooms" : MEDDLED}*`);
    const key = (all as string[]).sort()[at % (all as string[]).length];
    if (key === undefined) return;
    await redis("DEL", key);
    if (name !== "DEL") await redis(name, key, ...args).catch(expectReplyError);
  },
};

/** An id can be too low, and a key can be there again with another type. */
function expectReplyError(error: Error): void {
  if (error.name !== "ReplyError") throw error;
}
