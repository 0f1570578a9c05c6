import { assert, assertEquals } from "@std/assert";
import { CLOSE } from "../../chat/protocol/close_codes.ts";
import { JsonClient } from "../support/json_client.ts";
import { HONEST, IMITATIONS } from "../support/name_pairs.ts";
import { startTwoInstances } from "../support/two_instances.ts";

const TAKEN = CLOSE.nameTaken.code;

/** Leaves a room; the name is free afterwards. */
async function leave(client: JsonClient): Promise<void> {
  client.send({ type: "leave" });
  await client.closed;
}

/** Joins a room, and waits until the server has let the client in, or has closed. */
async function tryToJoin(port: number, user: string, room: string) {
  const client = new JsonClient(port, user, { room });
  const outcome = await Promise.race([
    client.welcome().then(() => "joined" as const, () => undefined),
    client.closed.then(({ code }) => code),
  ]);
  return { client, outcome: outcome ?? (await client.closed).code };
}

Deno.test("every imitation of a name in the room is refused, on another instance too", async () => {
  await using chat = await startTwoInstances();
  const ports = [chat.one, chat.two];
  for (const [i, [name, imitation, refusal]] of IMITATIONS.entries()) {
    const room = `r${i}`;
    const victim = await JsonClient.join(chat.one, name, { room });
    for (const port of ports) {
      const { client, outcome } = await tryToJoin(port, imitation, room);
      if (refusal === "taken") {
        assertEquals(outcome, TAKEN, `${imitation} beside ${name}`);
        const error = await client.find("error");
        assertEquals(error.code, "name_taken");
        assertEquals(
          error.message,
          `username ${imitation.normalize("NFC")} is already taken. ` +
            "please retry with a different name",
        );
      } else {
        assert(outcome !== "joined" && outcome !== TAKEN, `${imitation} beside ${name}`);
      }
    }
    const path = `/chat/${encodeURIComponent(imitation)}?room=${room}`;
    const response = await fetch(`http://127.0.0.1:${chat.two}${path}`);
    const line = await response.text();
    assertEquals(response.status, refusal === "taken" ? 426 : 400, line);
    if (refusal !== "taken") assert(line.includes(` has ${refusal}: `), line);
    await leave(victim);
    if (refusal === "taken") {
      // It was taken by that name alone.
      await leave(await JsonClient.join(chat.two, imitation, { room }));
    }
  }
  assertEquals(await chat.redis.command("KEYS", "*owners"), [], "nothing is left of the keys");
});

Deno.test("honest names of twenty scripts are free, beside one another", async () => {
  await using chat = await startTwoInstances();
  for (const [i, pair] of HONEST.entries()) {
    const room = `r${i}`;
    const [one, two] = await Promise.all([
      JsonClient.join(chat.one, pair[0], { room }),
      JsonClient.join(chat.two, pair[1], { room }),
    ]);
    await Promise.all([one.publish("hi"), two.publish("hi")]);
    await Promise.all([one.receivedMessages(2), two.receivedMessages(2)]);
    assertEquals(
      one.all("message").map(({ user }) => user).sort(),
      pair.map((name) => name.normalize("NFC")).sort(),
    );
    await Promise.all([one.leave(), two.leave()]);
  }
});

Deno.test("of two names that look alike, claimed at once, exactly one is given", async () => {
  await using chat = await startTwoInstances();
  for (let i = 0; i < 30; i++) {
    const room = `r${i}`;
    const tries = await Promise.all([
      tryToJoin(chat.one, "paypal", room),
      tryToJoin(chat.two, "PaypaI", room),
      tryToJoin(chat.one, "PAYPA1", room),
      tryToJoin(chat.two, "раураӏ", room),
    ]);
    assertEquals(
      tries.map(({ outcome }) => outcome).sort(),
      [TAKEN, TAKEN, TAKEN, "joined"],
      room,
    );
    assertEquals((await chat.redis.users(room)).length, 1);
    const [winner] = tries.filter(({ outcome }) => outcome === "joined");
    await leave(winner.client);
  }
});
