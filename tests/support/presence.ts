import { EVENT_MARK, parseEvent } from "../../chat/protocol/events.ts";
import { connect } from "../../chat/store/redis/connections.ts";
import { Instances } from "../../chat/store/redis/instances.ts";
import { NameClaims } from "../../chat/store/redis/name_claims.ts";
import { makeNameRecovery } from "../../chat/store/redis/name_recovery.ts";
import { makeReaper } from "../../chat/store/redis/reaper.ts";
import { makeSweeper } from "../../chat/store/redis/sweeper.ts";
import type { TestRedis } from "./redis.ts";

/**
 * What a store does for names, without the timers: a test decides when the lease is renewed, the
 * next instance watched, and a room swept. It is in room `r`, and not registered yet.
 *
 * @param id what every id of the instance starts with
 * @param port where it connects to, if not to the Redis itself
 */
export async function startPresence(redis: TestRedis, id: string, port = redis.port) {
  const { commands, subscriber } = await connect({ ...redis.settings, port }, 5_000);
  /** What was published in the room, and the names that the instance lost: such as `left foo`. */
  const seen: string[] = [];
  const instances = new Instances(commands, id);
  const reaper = makeReaper(commands, instances, 60, () => {});
  const claims = new NameClaims(
    ...[commands, instances, reaper, 60] as const,
    (_room, { user }, loss) => seen.push(`lost ${user}: ${loss}`),
  );
  const recovery = makeNameRecovery(commands, instances, claims, reaper);
  const sweeper = makeSweeper(commands, instances, claims, recovery, reaper);
  subscriber.onMessage((_channel, payload) => {
    const event = parseEvent(payload.slice(EVENT_MARK.length));
    if (!event || !("user" in event) || event.type === "message") return;
    seen.push(`${event.type} ${event.user}`);
    claims.note("r", event);
  });
  await subscriber.subscribe(commands.keys.room("r").channel);
  return {
    ...{ commands, instances, reaper, claims, recovery, sweeper, seen },
    /** Registers the instance, as a store does when it starts, and enters the room. */
    async start() {
      await recovery.start();
      await claims.enterRoom("r");
    },
    /** Waits until everything that was published so far is in {@linkcode seen}. */
    caughtUp: () => subscriber.ping(),
    async [Symbol.asyncDispose]() {
      await Promise.all([commands.close(), subscriber.close()]);
    },
  };
}

/** Adds an instance whose lease has ended, and which holds the name `dead` in room `r`. */
export async function addDead(redis: TestRedis, id: string): Promise<void> {
  await redis.command("ZADD", "chat-leases", "1", id);
  await redis.command("SADD", `chat-instance-rooms:${id}`, "", "r");
  await redis.command("SADD", "chat-users:r", "dead");
  await redis.command("HSET", "{chat-users:r}:owners", "dead", `${id} 1`);
}
