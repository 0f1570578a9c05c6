import { assertEquals } from "@std/assert";
import { nameKeys } from "../../chat/protocol/name_keys.ts";
import { testAtOnce } from "../support/at_once.ts";
import { startInstance } from "../support/instance.ts";
import { countEvicted, evictOne, fillMemory } from "../support/pressure.ts";
import { startRedis, type TestRedis } from "../support/redis.ts";
import { startTwoInstances } from "../support/two_instances.ts";
import { countLeft, TextClient, untilCaughtUp } from "../support/text_client.ts";
import { secondsSince, sleep, until } from "../support/wait.ts";

const test = testAtOnce("presence heals, whatever happens to its keys");

function taken(name: string): string {
  return `username ${name} is already taken. please retry with a different name`;
}

/** The keys and the channel of a room. */
function keysOf(room: string) {
  return {
    users: `chat-users:${room}`,
    owners: `{chat-users:${room}}:owners`,
    log: `{chat:${room}}:log`,
    channel: `chat:${room}`,
  };
}

/** Two users of each of two instances in a room, who have seen one another join. */
async function joinRoom(redis: TestRedis, ports: readonly number[], room: string) {
  const names = ["a1", "a2", "b1", "b2"];
  const clients = await Promise.all(
    names.map((name) => TextClient.join(ports[name[0] === "a" ? 0 : 1], name, { room })),
  );
  await untilCaughtUp(redis, clients, keysOf(room).channel);
  for (const client of clients) client.clear();
  return { room, names, clients };
}

/** Waits until the names in a room are exactly these, each with an owner. */
async function untilHealed(redis: TestRedis, room: string, names: readonly string[]) {
  const { users, owners } = keysOf(room);
  const keys = names.flatMap(nameKeys).map((key) => `::${key}`);
  const wanted = [names, [...names, ...keys]].map((all) => all.toSorted().join());
  const start = performance.now();
  await until(async () => {
    const found = await Promise.all([
      redis.command("SMEMBERS", users) as Promise<string[]>,
      redis.command("HKEYS", owners) as Promise<string[]>,
    ]);
    return found.every((found, i) => found.toSorted().join() === wanted[i]);
  }, 50).catch((cause) => {
    throw new Error(`room ${room} does not heal`, { cause });
  });
  console.log(`room ${room} is healed after ${secondsSince(start)}`);
}

test("each room heals whatever Redis has lost of it, and nobody is seen leaving", async () => {
  await using chat = await startTwoInstances();
  const { redis } = chat;
  const ports = [chat.one, chat.two];
  async function heals(room: string, damage: (keys: ReturnType<typeof keysOf>) => string[]) {
    const { names, clients } = await joinRoom(redis, ports, room);
    await redis.command(...damage(keysOf(room)));
    await untilHealed(redis, room, names);
    clients[0].send("still here");
    await clients[3].until("a1: still here");
    await untilCaughtUp(redis, clients, keysOf(room).channel);
    for (const [i, { frames }] of clients.entries()) {
      assertEquals(frames, i === 0 ? [] : ["a1: still here"], room);
    }
    await Promise.all(clients.map((client) => client.leave()));
    await untilHealed(redis, room, []);
  }
  await Promise.all([
    heals("users", ({ users }) => ["DEL", users]),
    heals("owners", ({ owners }) => ["DEL", owners]),
    heals("both", ({ users, owners }) => ["DEL", users, owners]),
    heals("log", ({ log }) => ["DEL", log]),
    heals("one-user", ({ users }) => ["SREM", users, "a2", "b1"]),
    heals("one-owner", ({ owners }) => ["HDEL", owners, "a2", "b1"]),
  ]);
});

test("names that nobody holds become free", async () => {
  await using redis = await startRedis();
  // What an older version has left.
  await redis.command("SADD", "chat-users", "old", "older");
  await redis.command("SADD", "chat-users:red", "old");
  await using one = await startInstance(redis.env);
  await using two = await startInstance(redis.env);
  await redis.untilReply("SCARD chat-users", 0);
  const { names, clients } = await joinRoom(redis, [one.port, two.port], "red");
  await untilHealed(redis, "red", names);
  for (const client of clients) client.clear();
  await redis.command("SADD", "chat-users:red", "ghost");
  await untilHealed(redis, "red", names);
  const ghost = await TextClient.join(two.port, "ghost", { room: "red" });
  await untilCaughtUp(redis, clients, "chat:red");
  for (const { frames } of clients) {
    assertEquals(frames, ["ghost: has left the chat!", "ghost: has joined the chat!"]);
  }
  // The owner of a name that is no session's.
  const [id] = (await redis.command("HGET", "{chat-users:red}:owners", "ghost") as string).split(
    " ",
  );
  await redis.command("SADD", "chat-users:red", "phantom");
  await redis.command("HSET", "{chat-users:red}:owners", "phantom", `${id} 1`);
  await untilHealed(redis, "red", [...names, "ghost"]);
  await Promise.all([...clients, ghost].map((client) => client.leave()));
});

test("of two who came to hold one name, the earlier one keeps it", async () => {
  await using chat = await startTwoInstances();
  const { redis } = chat;
  const { names, clients } = await joinRoom(redis, [chat.one, chat.two], "r");
  const { users, owners } = keysOf("r");
  await redis.command("DEL", users, owners);
  const later = await TextClient.join(chat.two, "a1", { room: "r" });
  await untilCaughtUp(redis, clients, "chat:r");
  await later.until(taken("a1"));
  assertEquals(await later.closed, { code: 4409, reason: "the name is taken" });
  await untilHealed(redis, "r", names);
  await untilCaughtUp(redis, clients, "chat:r");
  for (const { frames } of clients) assertEquals(countLeft(frames).size, 0);
  clients[0].send("it is me");
  await clients[3].until("a1: it is me");
  await Promise.all(clients.map((client) => client.leave()));
});

test("a user whose name Redis has lost is seen leaving, once", async () => {
  await using chat = await startTwoInstances();
  const { redis } = chat;
  for (const lost of [["users"], ["owners"], ["users", "owners"]] as const) {
    const { names, clients } = await joinRoom(redis, [chat.one, chat.two], "r");
    await redis.command("DEL", ...lost.map((key) => keysOf("r")[key]));
    await clients[0].leave();
    await untilHealed(redis, "r", names.slice(1));
    await untilCaughtUp(redis, clients.slice(1), "chat:r");
    for (const { frames } of clients.slice(1)) assertEquals(frames, ["a1: has left the chat!"]);
    await Promise.all(clients.map((client) => client.leave()));
  }
});

test("presence heals when Redis loses what it knows of the instances", async () => {
  await using chat = await startTwoInstances();
  const { redis } = chat;
  const rooms = await Promise.all(
    ["red", "blue"].map((room) => joinRoom(redis, [chat.one, chat.two], room)),
  );
  const losses = [
    async () => await redis.command("FLUSHALL"),
    async () => await redis.command("DEL", "chat-leases"),
    async () => {
      const keys = await redis.command("KEYS", "chat-instance-rooms:*") as string[];
      await redis.command("DEL", ...keys, keysOf("red").owners, keysOf("blue").users);
    },
  ];
  for (const lose of losses) {
    await lose();
    for (const { room, names } of rooms) await untilHealed(redis, room, names);
    await until(async () => {
      const ids = await redis.instances();
      const known = await Promise.all(
        ids.map((id) =>
          redis.command("SMEMBERS", `chat-instance-rooms:${id}`) as Promise<string[]>
        ),
      );
      return ids.length === 2 &&
        known.every((rooms) => rooms.toSorted().join() === ",blue,chat,red");
    }, 50);
  }
  for (const { room, clients } of rooms) {
    await untilCaughtUp(redis, clients, keysOf(room).channel);
    for (const { frames } of clients) assertEquals(frames, []);
    await Promise.all(clients.map((client) => client.leave()));
  }
});

test("nobody is seen leaving when stale keys come back", async () => {
  await using chat = await startTwoInstances();
  const { redis } = chat;
  const { names, clients } = await joinRoom(redis, [chat.one, chat.two], "r");
  const { users, owners } = keysOf("r");
  // Redis 6.0 has no COPY.
  const copy = "return redis.call('RESTORE', KEYS[2], 0, redis.call('DUMP', KEYS[1]))";
  for (const key of [users, owners]) await redis.command("EVAL", copy, "2", key, `${key}:old`);
  // Each instance registers under a new id, and writes its names down with it.
  const readOwners = () => redis.command("HMGET", owners, ...names) as Promise<string[]>;
  const before = await readOwners();
  const formerIds = await redis.instances();
  await redis.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
  // An instance frees what its former id has, and then forgets the id.
  await until(async () => {
    const [owners, ids] = await Promise.all([readOwners(), redis.instances()]);
    return !owners.some((owner) => before.includes(owner)) &&
      ids.length === formerIds.length && !ids.some((id) => formerIds.includes(id));
  }, 50);
  for (const key of [users, owners]) await redis.command("RENAME", `${key}:old`, key);
  await until(async () => {
    const now = await readOwners();
    return now.every(Boolean) && !now.some((owner) => before.includes(owner));
  }, 50);
  await untilHealed(redis, "r", names);
  await untilCaughtUp(redis, clients, "chat:r");
  for (const { frames } of clients) assertEquals(frames, []);
  await Promise.all(clients.map((client) => client.leave()));
});

test("presence heals after Redis has evicted keys of all kinds", async () => {
  await using chat = await startTwoInstances();
  const { redis } = chat;
  const { names, clients } = await joinRoom(redis, [chat.one, chat.two], "r");
  await fillMemory(redis, 15);
  // At last it evicts those that nobody has used for the longest time: not the leases.
  const { users, owners } = keysOf("r");
  await untilHealed(redis, "r", names);
  while (await redis.command("EXISTS", users, owners) !== 0) await evictOne(redis, "allkeys-lru");
  console.log(`Redis has evicted ${await countEvicted(redis)} keys`);
  await untilHealed(redis, "r", names);
  await untilCaughtUp(redis, clients, "chat:r");
  for (const { frames } of clients) assertEquals(countLeft(frames).size, 0);
  clients[0].send("still here");
  await clients[3].until("a1: still here");
  await Promise.all(clients.map((client) => client.leave()));
});

for (const policy of ["volatile-ttl", "volatile-lru"]) {
  Deno.test(`nobody is seen leaving when Redis evicts with ${policy}`, async () => {
    await using chat = await startTwoInstances();
    const { redis } = chat;
    const { names, clients } = await joinRoom(redis, [chat.one, chat.two], "r");
    for (let round = 0; round < 10; round++) {
      await evictOne(redis, policy);
      // Whoever wants a name makes the instance check whether the name's owner is alive.
      const thieves = [["a1", chat.two], ["b1", chat.one]] as const;
      for (let i = 0; i < 5; i++) {
        await Promise.all(thieves.map(async ([name, port]) => {
          const thief = new TextClient(port, name, { room: "r" });
          assertEquals(await thief.next(), taken(name));
        }));
        await sleep(100);
      }
    }
    console.log(`Redis has evicted ${await countEvicted(redis)} keys`);
    await untilHealed(redis, "r", names);
    await untilCaughtUp(redis, clients, "chat:r");
    for (const { frames } of clients) assertEquals(frames, []);
    await Promise.all(clients.map((client) => client.leave()));
  });
}
