import { assert, assertEquals } from "@std/assert";
import { ChatClient } from "../../chat/client/client.ts";
import { startInstance } from "../support/instance.ts";
import { JsonClient } from "../support/json_client.ts";
import { startProxy } from "../support/proxy.ts";
import { joinMany } from "../support/recording_client.ts";
import { startRedis, type TestRedis } from "../support/redis.ts";
import { TextClient, untilCaughtUp } from "../support/text_client.ts";
import { startTwoInstances } from "../support/two_instances.ts";
import { sleep, until } from "../support/wait.ts";

/** Sends numbers as its messages, each once and in order. */
interface Sender {
  readonly user: string;
  /** The number of messages that are acknowledged; absent if the user is not told. */
  acknowledged?(): number;
  /** Sends until it is stopped, and resolves when all messages are acknowledged. */
  run(): Promise<void>;
  /** Ends `run`, after the messages that are not acknowledged yet. */
  stop(): void;
  close(): Promise<void>;
}

/** How many messages a sender has in flight. */
const MAX_IN_FLIGHT = 20;

/** How long the raw client waits before it sends again what was refused. */
const RETRY_DELAY_MS = 50;

function startChatClient(port: number, user: string): Sender {
  const client = new ChatClient(`ws://127.0.0.1:${port}`, user);
  let isStopped = false;
  let acknowledged = 0;
  return {
    user,
    acknowledged: () => acknowledged,
    async run() {
      const inFlight = new Set<Promise<void>>();
      for (let n = 0; !isStopped; n++) {
        const sent = client.send(`${n}`).then(() => {
          acknowledged++;
          inFlight.delete(sent);
        });
        inFlight.add(sent);
        if (inFlight.size === MAX_IN_FLIGHT) await Promise.race(inFlight);
      }
      await Promise.all(inFlight);
    },
    stop: () => isStopped = true,
    close: () => client.close(),
  };
}

/** A program of its own that follows the rules of docs/protocol.md. */
async function startRawClient(port: number, user: string): Promise<Sender> {
  const client = await JsonClient.join(port, user);
  const canSendAfter = (await client.welcome()).features?.includes("after");
  /** The refs that are not answered for good, in order, and whether they are on their way. */
  const pending = new Map<string, boolean>();
  let isStopped = false;
  let acknowledged = 0;
  let isRefused = false;
  let seen = 0;

  function handleAnswers(): void {
    for (; seen < client.events.length; seen++) {
      const event = client.events[seen];
      if (event.type === "ack" && pending.delete(event.ref)) acknowledged++;
      if (event.type !== "error") continue;
      assert(["not_delivered", "unknown"].includes(event.code), JSON.stringify(event));
      pending.set(event.ref!, false);
      isRefused = true;
    }
  }

  function sendPending(): void {
    let after: string | undefined;
    for (const [ref, isOnItsWay] of pending) {
      if (!isOnItsWay) {
        const message = { type: "message", text: ref, ref };
        client.send(canSendAfter ? { ...message, after } : message);
        pending.set(ref, true);
      }
      after = ref;
    }
  }

  return {
    user,
    acknowledged: () => acknowledged,
    async run() {
      for (let n = 0; !isStopped || pending.size > 0;) {
        for (; !isStopped && pending.size < MAX_IN_FLIGHT; n++) pending.set(`${n}`, false);
        isRefused = false;
        sendPending();
        await client.received(seen + 1);
        handleAnswers();
        if (isRefused) await sleep(RETRY_DELAY_MS);
      }
    },
    stop: () => isStopped = true,
    close: () => client.leave(),
  };
}

/** Users of the text protocol are not told what is taken. They send again nothing. */
async function startTextUser(port: number, user: string): Promise<Sender> {
  const client = await TextClient.join(port, user);
  let isStopped = false;
  return {
    user,
    async run() {
      for (let n = 0; !isStopped; n++) {
        client.send(`${n}`);
        await sleep(1);
      }
    },
    stop: () => isStopped = true,
    close: () => client.leave(),
  };
}

/**
 * Lets users send while something happens.
 *
 * @throws {AssertionError} unless the log has the messages of each user in the order in which they
 * were sent, and each that was acknowledged once
 */
async function sendDuring(
  redis: TestRedis,
  senders: readonly Sender[],
  happen: (untilProgress: () => Promise<void>) => Promise<void>,
): Promise<void> {
  const runs = senders.map((sender) => sender.run());
  await happen(async () => {
    for (const { acknowledged } of senders) {
      const before = acknowledged?.() ?? 0;
      await until(() => !acknowledged || acknowledged() > before + MAX_IN_FLIGHT, 5);
    }
  });
  for (const sender of senders) sender.stop();
  await Promise.all(runs);
  for (const sender of senders) await sender.close();
  const log = await redis.command("XRANGE", "{chat}:log", "-", "+") as [string, string[]][];
  const messages = log.map(([, fields]) => JSON.parse(`{${fields[fields.indexOf("rest") + 1]}`));
  for (const { user, acknowledged } of senders) {
    const numbers = messages.filter((message) => message.user === user)
      .map(({ text }) => Number(text));
    const inversions = numbers.filter((number, i) => number <= numbers[i - 1]);
    assertEquals(inversions, [], `${user}: what came after a later one, of ${numbers.length}`);
    if (acknowledged) assertEquals(numbers.length, acknowledged(), user);
    assert(numbers.length > 100, `${user}: ${numbers.length}`);
  }
}

Deno.test("one sender's messages keep their order through 10 short outages", async () => {
  await using redis = await startRedis();
  await using proxy = await startProxy(redis.port);
  const env = { ...redis.env, REDIS_HOST: `127.0.0.1:${proxy.port}`, HISTORY_LIMIT: "1000000" };
  await using instance = await startInstance(env);
  const senders = [
    startChatClient(instance.port, "client"),
    await startRawClient(instance.port, "raw"),
    await startTextUser(instance.port, "text"),
  ];
  const outages = [
    async () => {
      await redis.command("CONFIG", "SET", "maxmemory", "1");
      await redis.command("CONFIG", "SET", "maxmemory", "0");
    },
    () => proxy.disconnect("by reset"),
    () => redis.command("CLIENT", "KILL", "TYPE", "normal"),
  ];
  await sendDuring(redis, senders, async (untilProgress) => {
    for (let n = 0; n < 10; n++) {
      await untilProgress();
      await outages[n % outages.length]();
    }
    await untilProgress();
  });
});

Deno.test("one sender's messages keep their order while Redis loses its scripts", async () => {
  await using redis = await startRedis();
  const env = { ...redis.env, HISTORY_LIMIT: "1000000" };
  await using one = await startInstance(env);
  await using two = await startInstance(env);
  const senders = [
    startChatClient(one.port, "client of one"),
    startChatClient(two.port, "client of two"),
    await startRawClient(one.port, "raw"),
    await startTextUser(one.port, "text of one"),
    await startTextUser(two.port, "text of two"),
  ];
  await sendDuring(redis, senders, async (untilProgress) => {
    for (let n = 0; n < 100; n++) {
      await redis.command("SCRIPT", "FLUSH");
      await sleep(5 + n % 20);
    }
    await untilProgress();
  });
});

Deno.test("200 users on two instances receive all messages in the same order", async () => {
  await using chat = await startTwoInstances();
  const [users, messages] = [200, 20];
  const names = Array.from({ length: users }, (_, i) => `user-${i}`);
  const clients = await joinMany(
    names,
    (name, i) => TextClient.join([chat.one, chat.two][i % 2], name),
  );
  await untilCaughtUp(chat.redis, clients);
  for (const client of clients) client.clear();
  for (let n = 0; n < messages; n++) {
    clients.forEach((client, i) => client.send(`message ${n} of ${i}`));
  }
  await Promise.all(clients.map((client) => client.received((users - 1) * messages)));
  await untilCaughtUp(chat.redis, clients);

  // A client does not receive its own messages: compare what each pair of clients has in common.
  const order = clients[0].frames;
  const withOwn = new Set([...clients[1].frames, ...order]);
  assertEquals(withOwn.size, users * messages);
  for (const [i, client] of clients.entries()) {
    assertEquals(client.frames.length, (users - 1) * messages);
    const theirs = client.frames.filter((frame) => !frame.startsWith("user-0: "));
    const others = order.filter((frame) => !frame.startsWith(`user-${i}: `));
    assertEquals(theirs, others);
  }
  const [last, ...leaving] = clients;
  last.clear();
  await Promise.all(leaving.map((client) => client.leave()));
  await last.received(users - 1);
  assertEquals(await chat.redis.users(), ["user-0"]);
  await last.leave();
});
