import { assert, assertEquals } from "@std/assert";
import { type Instance, startInstance } from "../support/instance.ts";
import { joinMany } from "../support/recording_client.ts";
import { startRedis } from "../support/redis.ts";
import { countLeft, TextClient, untilCaughtUp } from "../support/text_client.ts";

Deno.test("ten kills in a row leave no ghost while users join, leave and publish", async () => {
  await using redis = await startRedis();
  await using one = await startInstance(redis.env);
  await using two = await startInstance(redis.env);
  const names = Array.from({ length: 20 }, (_, i) => `stable-${i}`);
  const stable = await joinMany(
    names,
    (name, i) => TextClient.join([one, two][i % 2].port, name),
  );
  let isChurning = true;
  async function churn(instance: Instance, name: string): Promise<void> {
    for (let i = 0; isChurning; i++) {
      const client = await TextClient.join(instance.port, `${name}-${i}`);
      client.send("here I am");
      await client.leave();
    }
  }
  const churns = Promise.all([churn(one, "churn-a"), churn(two, "churn-b")]);
  // If something else fails first, that is what the test shows.
  churns.catch(() => {});

  const doomed: string[] = [];
  for (let round = 0; round < 10; round++) {
    await using victim = await startInstance(redis.env);
    const users = Array.from({ length: 30 }, (_, i) => `doomed-${round}-${i}`);
    await joinMany(users, (user) => TextClient.join(victim.port, user));
    doomed.push(...users);
    stable[round].send(`round ${round}`);
    victim.signal("SIGKILL");
    await victim.exit;
  }
  const haveLeft = (frames: string[]) => {
    const left = countLeft(frames);
    return doomed.every((user) => left.has(user));
  };
  for (const client of stable) {
    while (!haveLeft(client.frames)) await client.received(client.frames.length + 1);
  }
  isChurning = false;
  await churns;
  await redis.untilReply("SCARD chat-users", stable.length);
  await untilCaughtUp(redis, stable);

  assertEquals(await redis.users(), names.sort());
  for (const client of stable) {
    const left = countLeft(client.frames);
    assert([...left.values()].every((times) => times === 1), "no user leaves twice");
    assert([...left.keys()].every((user) => !user.startsWith("stable")), "a stable user stays");
    const joined = client.frames.filter((f) => /: has joined the chat!$/.test(f));
    assertEquals(new Set(joined).size, joined.length, "no user joins twice");
    const rounds = client.frames.filter((f) => /: round \d$/.test(f));
    assert(rounds.length >= 9, "messages are delivered throughout");
  }
  await Promise.all(stable.map((client) => client.leave()));
});
