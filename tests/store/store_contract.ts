import { assert, assertEquals, assertRejects } from "@std/assert";
import type { Message, Removed, RoomEvent } from "../../chat/protocol/events.ts";
import { isLater } from "../../chat/protocol/ids.ts";
import {
  type LogLimits,
  Muted,
  type NameSecret,
  OutOfOrder,
  type RoomListener,
  type Store,
  TooManyRefs,
} from "../../chat/store/store.ts";
import { endOfTurn, sleep } from "../support/wait.ts";

/** Two stores that share their rooms, as the stores of two instances do. */
export interface Pair {
  readonly here: Store;
  readonly there: Store;
  /** Makes the logs older. */
  pass(seconds: number): PromiseLike<void>;
  /** Disposes of what the stores share. */
  dispose(): PromiseLike<void>;
}

/** Records the events of a room in one store. */
class Recorder {
  readonly events: RoomEvent[] = [];
  /** The id of the newest message at the subscription. */
  newest = "";
  #wake = Promise.withResolvers<void>();

  readonly listener: RoomListener = {
    onEvent: (event, line) => {
      assertEquals(JSON.parse(line), JSON.parse(JSON.stringify(event)), "the line is the event");
      this.events.push(event);
      this.#wake.resolve();
      this.#wake = Promise.withResolvers();
    },
    onNameLost: (user, _session, loss) => {
      // A take-over can be known before its event comes.
      if (loss !== "replaced") throw new Error(`the name ${user} was lost`);
    },
  };

  /** Resolves to all events, without `id` and `prev`, once there is a message with this text. */
  async until(text: string): Promise<unknown[]> {
    while (!this.messages().some((message) => message.text === text)) await this.#wake.promise;
    return this.events.map(withoutIds);
  }

  /** The messages among the events. */
  messages(): Message[] {
    return this.events.filter((event) => event.type === "message");
  }
}

function withoutIds(event: RoomEvent): unknown {
  if (event.type !== "message") return event;
  const { id: _, prev: __, ...rest } = event;
  return rest;
}

async function record(store: Store, room: string): Promise<Recorder> {
  const recorder = new Recorder();
  recorder.newest = await store.subscribe(room, recorder.listener);
  return recorder;
}

const end = { type: "message", user: "x", text: "end" };

/** Publishes a number of messages in a room, and returns their ids. */
async function publishMany(store: Store, room: string, count: number): Promise<string[]> {
  const texts = Array.from({ length: count }, (_, i) => `message ${i}`);
  return await Promise.all(texts.map((text) => store.publish(room, "foo", text)));
}

/** Limits that no test reaches, apart from those that test the limits. */
const AMPLE: LogLimits = { historyLimit: 1_000, historySeconds: 60 };

/** Defines the tests that every store must pass. */
export function testStore(name: string, open: (limits: LogLimits) => Promise<Pair>): void {
  function test(
    statement: string,
    body: (pair: Pair) => Promise<void>,
    limits: LogLimits = AMPLE,
  ): void {
    Deno.test(`${name}: ${statement}`, async () => {
      const pair = await open(limits);
      try {
        await body(pair);
      } finally {
        await Promise.all([pair.here.close(), pair.there.close()]);
        await pair.dispose();
      }
    });
  }

  test("claim() gives a name to the first, and publishes joined to both stores", async (pair) => {
    const recorders = [await record(pair.here, "r"), await record(pair.there, "r")];
    assertEquals(await pair.here.claim("r", "foo", "s1"), "claimed");
    assertEquals(await pair.there.claim("r", "foo", "s2"), "taken");
    assertEquals(await pair.here.claim("r", "foo", "s3"), "taken");
    await pair.here.publish("r", "x", "end");
    for (const recorder of recorders) {
      assertEquals(await recorder.until("end"), [{
        type: "joined",
        user: "foo",
        session: "s1",
        users: 1,
      }, end]);
    }
  });

  test("claim() gives a name to one of many concurrent claims", async ({ here, there }) => {
    await Promise.all([record(here, "r"), record(there, "r")]);
    const claims = await Promise.all(
      Array.from({ length: 50 }, (_, i) => [here, there][i % 2].claim("r", "foo", `s${i}`)),
    );
    assertEquals(claims.filter((outcome) => outcome === "claimed").length, 1);
  });

  test("claim() gives the same name in other rooms", async ({ here, there }) => {
    await Promise.all(["r", "q", "chat"].flatMap((r) => [record(here, r), record(there, r)]));
    assertEquals(await here.claim("r", "foo", "s1"), "claimed");
    assertEquals(await there.claim("q", "foo", "s2"), "claimed");
    assertEquals(await there.claim("chat", "foo", "s3"), "claimed");
  });

  test("release() frees a name, and publishes left to both stores", async ({ here, there }) => {
    const recorders = [await record(here, "r"), await record(there, "r")];
    await here.claim("r", "foo", "s1");
    await here.release("r", "foo", "s1");
    assertEquals(await there.claim("r", "foo", "s2"), "claimed");
    await there.publish("r", "x", "end");
    for (const recorder of recorders) {
      assertEquals(await recorder.until("end"), [
        { type: "joined", user: "foo", session: "s1", users: 1 },
        { type: "left", user: "foo" },
        { type: "joined", user: "foo", session: "s2", users: 1 },
        end,
      ]);
    }
  });

  test("release() leaves a name alone that the session does not have", async ({ here, there }) => {
    const recorder = await record(here, "r");
    await record(there, "r");
    await here.claim("r", "foo", "s1");
    await there.release("r", "foo", "s2");
    await here.release("r", "foo", "s2");
    await there.release("r", "bar", "s1");
    assertEquals(await there.claim("r", "foo", "s2"), "taken");
    await there.publish("r", "x", "end");
    assertEquals(await recorder.until("end"), [{
      type: "joined",
      user: "foo",
      session: "s1",
      users: 1,
    }, end]);
  });

  /** The secret of the user foo with an attempt. */
  const attempt = (attempt: number) => ({ hash: "foo's", attempt });

  for (const place of ["here", "there"] as const) {
    test(`a later claim ${place} with the same secret takes the name over`, async (pair) => {
      const recorders = [await record(pair.here, "r"), await record(pair.there, "r")];
      assertEquals(await pair.here.claim("r", "foo", "s2", { secret: attempt(2) }), "claimed");
      assertEquals(await pair[place].claim("r", "foo", "s5", { secret: attempt(5) }), "claimed");
      // What the former session does now has no effect.
      await pair.here.release("r", "foo", "s2");
      assertEquals(await pair[place].claim("r", "foo", "s4", { secret: attempt(4) }), "replaced");
      assertEquals(
        await pair.there.claim("r", "foo", "a copy", { secret: attempt(5) }),
        "replaced",
      );
      assertEquals(await pair.there.claim("r", "foo", "s6"), "taken");
      const other = { hash: "another's", attempt: 6 };
      assertEquals(await pair.there.claim("r", "foo", "s6", { secret: other }), "taken");
      assertEquals((await pair.there.listUsers("r", undefined, 10)).users, ["foo"]);
      await pair[place].release("r", "foo", "s5");
      assertEquals(await pair.here.claim("r", "foo", "s3", { secret: attempt(3) }), "claimed");
      await pair.here.publish("r", "x", "end");
      for (const recorder of recorders) {
        assertEquals(await recorder.until("end"), [
          { type: "joined", user: "foo", session: "s2", users: 1 },
          { type: "replaced", user: "foo", session: "s5", former: "s2", users: 1 },
          { type: "left", user: "foo" },
          { type: "joined", user: "foo", session: "s3", users: 1 },
          end,
        ]);
      }
    });
  }

  test("a secret does not take a name over from a user without one", async ({ here, there }) => {
    await Promise.all([record(here, "r"), record(there, "r")]);
    assertEquals(await here.claim("r", "foo", "s1"), "claimed");
    assertEquals(await here.claim("r", "foo", "s2", { secret: attempt(2) }), "taken");
    assertEquals(await there.claim("r", "foo", "s2", { secret: attempt(2) }), "taken");
    await here.release("r", "foo", "s1");
    assertEquals(await there.claim("r", "foo", "s2", { secret: attempt(2) }), "claimed");
  });

  test("a name is taken if another one in the room has a key in common with it", async (pair) => {
    const { here, there } = pair;
    const recorder = await record(here, "r");
    await Promise.all([record(there, "r"), record(there, "q")]);
    assertEquals(await here.claim("r", "Tom", "s1", { keys: ["tom", "look"] }), "claimed");
    for (const store of [here, there]) {
      assertEquals(await store.claim("r", "TOM", "s2", { keys: ["tom"] }), "taken");
      assertEquals(await store.claim("r", "Look", "s2", { keys: ["other", "look"] }), "taken");
      assertEquals(
        await store.claim("r", "LOOK", "s2", { secret: attempt(2), keys: ["look"] }),
        "taken",
      );
    }
    assertEquals(await there.claim("r", "Tim", "s3", { keys: ["tim"] }), "claimed");
    assertEquals(await there.claim("q", "TOM", "s4", { keys: ["tom"] }), "claimed");
    // A refused claim frees nothing.
    await there.release("r", "TOM", "s2");
    assertEquals(await there.claim("r", "TOM", "s5", { keys: ["tom"] }), "taken");
    await here.release("r", "Tom", "s1");
    assertEquals(await there.claim("r", "TOM", "s6", { keys: ["tom"] }), "claimed");
    assertEquals(await here.claim("r", "Look", "s7", { keys: ["look"] }), "claimed");
    await here.publish("r", "x", "end");
    const events = await recorder.until("end") as { type: string; user: string }[];
    assertEquals(events.map(({ type, user }) => `${type} ${user}`), [
      ...["joined Tom", "joined Tim", "left Tom", "joined TOM", "joined Look", "message x"],
    ]);
  });

  test("a name that is taken over keeps its keys, until it is released", async (pair) => {
    const { here, there } = pair;
    await Promise.all([record(here, "r"), record(there, "r")]);
    assertEquals(
      await here.claim("r", "foo", "s1", { secret: attempt(1), keys: ["foo"] }),
      "claimed",
    );
    assertEquals(
      await there.claim("r", "foo", "s2", { secret: attempt(2), keys: ["foo"] }),
      "claimed",
    );
    assertEquals(
      await there.claim("r", "FOO", "s3", { secret: attempt(3), keys: ["foo"] }),
      "taken",
    );
    await there.release("r", "foo", "s2");
    assertEquals(await there.claim("r", "FOO", "s4", { keys: ["foo"] }), "claimed");
  });

  test("of many names with one key, claimed at once, one is given", async ({ here, there }) => {
    await Promise.all([record(here, "r"), record(there, "r")]);
    const claims = Array.from(
      { length: 50 },
      (_, i) => [here, there][i % 2].claim("r", `foo${i}`, `s${i}`, { keys: ["foo"] }),
    );
    const outcomes = await Promise.all(claims);
    assertEquals(outcomes.filter((outcome) => outcome === "claimed").length, 1);
    assertEquals((await here.listUsers("r", undefined, 10)).total, 1);
  });

  test("of many attempts at once the highest gets the name, and can free it", async (pair) => {
    const recorder = await record(pair.here, "r");
    await record(pair.there, "r");
    const attempts = Array.from({ length: 50 }, (_, i) => 1 + (i * 37) % 50);
    await Promise.all(attempts.map(async (number, i) => {
      const store = [pair.here, pair.there][i % 2];
      const outcome = await store.claim("r", "foo", `s${number}`, { secret: attempt(number) });
      assert(outcome !== "taken");
      if (number < 50) await store.release("r", "foo", `s${number}`);
    }));
    assertEquals((await pair.here.listUsers("r", undefined, 10)).users, ["foo"]);
    await pair[attempts.indexOf(50) % 2 === 0 ? "here" : "there"].release("r", "foo", "s50");
    await pair.here.publish("r", "x", "end");
    await recorder.until("end");
    let holder: string | undefined;
    for (const event of recorder.events) {
      if (event.type === "replaced") assertEquals(event.former, holder);
      if (event.type === "joined") assertEquals(holder, undefined);
      if (event.type === "left") holder = undefined;
      else if ("session" in event) holder = event.session;
    }
    assertEquals(holder, undefined);
    const sessions = recorder.events.flatMap((event) => "session" in event ? event.session : []);
    assertEquals(sessions.at(-1), "s50");
  });

  /** Claims foo for one of up to three devices. */
  const claimDevice = (store: Store, session: string, secret?: NameSecret) =>
    store.claim("r", "foo", session, { secret, maxDevices: 3 });

  test("devices share their user's name: joined comes once, left after the last", async (pair) => {
    const { here, there } = pair;
    const recorders = [await record(here, "r"), await record(there, "r")];
    assertEquals(await claimDevice(here, "s1"), "claimed");
    assertEquals(await claimDevice(there, "s2"), "claimed");
    assertEquals(await claimDevice(here, "s3"), "claimed");
    assertEquals(await claimDevice(here, "s4"), "full");
    assertEquals(await claimDevice(there, "s4"), "full");
    assertEquals(await there.claim("r", "foo", "s4"), "taken");
    // What the session does not have, it cannot free.
    await there.release("r", "foo", "s1");
    await here.release("r", "foo", "s1");
    assertEquals(await claimDevice(there, "s5"), "claimed");
    assertEquals(await here.listUsers("r", undefined, 10), {
      ...{ users: ["foo"], total: 1, next: undefined },
    });
    await there.release("r", "foo", "s2");
    await here.release("r", "foo", "s3");
    await there.release("r", "foo", "s5");
    assertEquals((await here.listUsers("r", undefined, 10)).total, 0);
    assertEquals(await here.claim("r", "foo", "s6"), "claimed");
    await here.publish("r", "x", "end");
    for (const recorder of recorders) {
      assertEquals(await recorder.until("end"), [
        { type: "joined", user: "foo", session: "s1", users: 1 },
        ...["s2", "s3", "s5"].map((session) => ({ type: "added", user: "foo", session, users: 1 })),
        { type: "left", user: "foo" },
        { type: "joined", user: "foo", session: "s6", users: 1 },
        end,
      ]);
    }
  });

  test("a secret takes over its own device only, also from a full user", async (pair) => {
    const { here, there } = pair;
    const recorders = [await record(here, "r"), await record(there, "r")];
    const phone = (attempt: number) => ({ hash: "phone", attempt });
    assertEquals(await claimDevice(here, "laptop", { hash: "laptop", attempt: 1 }), "claimed");
    assertEquals(await claimDevice(here, "phone-1", phone(1)), "claimed");
    assertEquals(await claimDevice(there, "terminal"), "claimed");
    assertEquals(await claimDevice(there, "phone-2", phone(2)), "claimed");
    assertEquals(await claimDevice(here, "phone-1-again", phone(1)), "replaced");
    assertEquals(await claimDevice(there, "phone-3", phone(3)), "claimed");
    assertEquals(await claimDevice(there, "tablet", { hash: "tablet", attempt: 9 }), "full");
    await here.release("r", "foo", "phone-1");
    await here.release("r", "foo", "laptop");
    await there.release("r", "foo", "phone-3");
    await there.release("r", "foo", "terminal");
    await here.publish("r", "x", "end");
    const replaced = { type: "replaced", user: "foo", users: 1 };
    for (const recorder of recorders) {
      assertEquals(await recorder.until("end"), [
        { type: "joined", user: "foo", session: "laptop", users: 1 },
        { type: "added", user: "foo", session: "phone-1", users: 1 },
        { type: "added", user: "foo", session: "terminal", users: 1 },
        { ...replaced, session: "phone-2", former: "phone-1" },
        { ...replaced, session: "phone-3", former: "phone-2" },
        { type: "left", user: "foo" },
        end,
      ]);
    }
  });

  test("of many devices that come and go at once, no more stay than may", async (pair) => {
    const recorder = await record(pair.here, "r");
    await record(pair.there, "r");
    const sessions = Array.from({ length: 40 }, (_, i) => ({
      session: `s${i}`,
      store: [pair.here, pair.there][i % 2],
    }));
    const outcomes = await Promise.all(
      sessions.map(({ session, store }) => claimDevice(store, session)),
    );
    assertEquals(outcomes.filter((outcome) => outcome === "claimed").length, 3);
    await Promise.all(sessions.map(({ session, store }) => store.release("r", "foo", session)));
    assertEquals((await pair.here.listUsers("r", undefined, 10)).total, 0);
    await pair.here.publish("r", "x", "end");
    await recorder.until("end");
    assertEquals(recorder.events.map(({ type }) => type), [
      ...["joined", "added", "added", "left", "message"],
    ]);
  });

  test("a message names its session only if it is told to, also in the log", async (pair) => {
    const recorder = await record(pair.here, "r");
    const sender = { session: "s1", isNamed: true };
    await pair.there.publish("r", "foo", "one", undefined, undefined, sender);
    const other = { session: "s2", isNamed: false };
    await pair.there.publish("r", "foo", "two", "ref", undefined, other);
    const sent = [
      { type: "message", user: "foo", text: "one", session: "s1" },
      { type: "message", user: "foo", text: "two", ref: "ref" },
    ];
    assertEquals(await recorder.until("two"), sent);
    const page = await pair.here.readBefore("r", undefined, 10);
    assertEquals(page.map(({ event }) => withoutIds(event)), sent);
  });

  test("publish() reaches both stores in one order, whatever the text", async ({ here, there }) => {
    const recorders = [await record(here, "r"), await record(there, "r")];
    const texts = [
      "",
      "a: b",
      "line\nline",
      "\u0000\u2028",
      "😀",
      '{"type":"left"}',
      "x".repeat(65_536),
    ];
    await Promise.all(
      texts.flatMap((text) => [here.publish("r", "foo", text), there.publish("r", "bar", text)]),
    );
    await here.publish("r", "x", "end");
    const [one, other] = await Promise.all(recorders.map((one) => one.until("end")));
    assertEquals(one, other);
    for (const user of ["foo", "bar"]) {
      const own = (one as { user: string; text: string }[]).filter((e) => e.user === user);
      assertEquals(own.map((e) => e.text), texts);
    }
  });

  test("calls of one store take effect in the order in which they are made", async (pair) => {
    const recorder = await record(pair.there, "r");
    await record(pair.here, "r");
    const calls = [
      pair.here.claim("r", "foo", "s1"),
      pair.here.publish("r", "foo", "one"),
      pair.here.release("r", "foo", "s1"),
      pair.here.publish("r", "bar", "two"),
      pair.here.claim("r", "foo", "s2"),
      pair.here.publish("r", "x", "end"),
    ];
    await Promise.all(calls);
    assertEquals(await recorder.until("end"), [
      { type: "joined", user: "foo", session: "s1", users: 1 },
      { type: "message", user: "foo", text: "one" },
      { type: "left", user: "foo" },
      { type: "message", user: "bar", text: "two" },
      { type: "joined", user: "foo", session: "s2", users: 1 },
      end,
    ]);
  });

  test("events reach only the listener of their room", async ({ here, there }) => {
    const [r, chat] = [await record(here, "r"), await record(here, "chat")];
    await there.publish("q", "foo", "in q");
    await there.publish("chat", "foo", "in chat");
    await there.publish("r", "foo", "in r");
    await there.publish("r", "x", "end");
    await there.publish("chat", "x", "end");
    assertEquals(await r.until("end"), [{ type: "message", user: "foo", text: "in r" }, end]);
    assertEquals(await chat.until("end"), [{ type: "message", user: "foo", text: "in chat" }, end]);
  });

  test("unsubscribe() stops the listener, and another one can follow", async (pair) => {
    const first = await record(pair.here, "r");
    await pair.here.unsubscribe("r");
    await pair.there.publish("r", "foo", "missed");
    const second = await record(pair.here, "r");
    await pair.there.publish("r", "x", "end");
    assertEquals(await second.until("end"), [end]);
    assertEquals(first.events, []);
  });

  test("subscribe() right after unsubscribe() takes effect", async ({ here, there }) => {
    await record(here, "r");
    const gone = here.unsubscribe("r");
    const second = await record(here, "r");
    await gone;
    await there.publish("r", "x", "end");
    assertEquals(await second.until("end"), [end]);
  });

  test("joined has the number of users in the room", async ({ here, there }) => {
    const recorder = await record(here, "r");
    await record(there, "r");
    await here.claim("r", "foo", "s1");
    await there.claim("r", "bar", "s2");
    await here.release("r", "foo", "s1");
    await here.claim("r", "pi", "s3");
    await here.publish("r", "x", "end");
    await recorder.until("end");
    assertEquals(
      recorder.events.flatMap((event) =>
        event.type === "joined" ? [[event.user, event.users]] : []
      ),
      [["foo", 1], ["bar", 2], ["pi", 2]],
    );
  });

  test("publish() gives each message a later id, and the id before it as prev", async (pair) => {
    const recorder = await record(pair.there, "r");
    assertEquals(recorder.newest, "0-0");
    const ids = await publishMany(pair.here, "r", 50);
    await pair.there.publish("r", "x", "end");
    await recorder.until("end");
    const messages = recorder.messages();
    assertEquals(messages.slice(0, -1).map(({ id }) => id), ids);
    assertEquals(messages.map(({ prev }) => prev), ["0-0", ...ids]);
    for (const { id, prev } of messages) assert(isLater(id, prev), `${id} after ${prev}`);
    assertEquals((await record(pair.here, "r")).newest, messages.at(-1)!.id);
  });

  test("publishUnlogged() has its place among messages, and no id", async ({ here, there }) => {
    const recorders = await Promise.all([record(here, "room"), record(there, "room")]);
    const left: RoomEvent = { type: "left", user: "foo" };
    const typing: RoomEvent = { type: "typing", user: "foo" };
    const [one, , , two] = await Promise.all([
      here.publish("room", "foo", "one"),
      here.publishUnlogged("room", left),
      here.publishUnlogged("room", typing),
      here.publish("room", "foo", "two"),
    ]);
    for (const recorder of recorders) {
      await recorder.until("two");
      const [first, second] = recorder.messages();
      assertEquals(recorder.events, [first, left, typing, second]);
      assertEquals([first.id, second.prev, second.id], [one, one, two]);
    }
    const ids = (await there.readBefore("room", undefined, 10)).map(({ event }) => event.id);
    assertEquals(ids, [one, two]);
  });

  test("publish() with one ref 50 times at once publishes once, with one id", async (pair) => {
    const recorder = await record(pair.here, "r");
    const ids = await Promise.all(
      Array.from(
        { length: 50 },
        (_, i) => [pair.here, pair.there][i % 2].publish("r", "foo", `try ${i}`, "ref 1"),
      ),
    );
    assertEquals(new Set(ids).size, 1);
    await pair.here.publish("r", "x", "end");
    const events = await recorder.until("end") as Message[];
    assertEquals(events.length, 2);
    assertEquals(events[0].ref, "ref 1");
    assertEquals((await pair.here.readAfter("r", "0-0", 10)).length, 2);
  });

  test("publish() keeps refs of different users and different rooms apart", async (pair) => {
    const ids = await Promise.all([
      pair.here.publish("r", "foo", "a", "1"),
      pair.here.publish("r", "bar", "a", "1"),
      pair.here.publish("r", "foo", "a", "1:"),
      pair.here.publish("r", "foo", "a"),
      pair.here.publish("r", "foo", "a"),
    ]);
    assertEquals(new Set(ids).size, 5);
    await pair.here.publish("q", "foo", "a", "1");
    assertEquals((await pair.here.readAfter("q", "0-0", 10)).length, 1);
  });

  test("publish() takes a message only after the one that it names", async ({ here, there }) => {
    const publish = (store: Store, ref: string | undefined, after: string | undefined) =>
      store.publish("r", "foo", `${ref} after ${after}`, ref, after);
    const outcomes = async (...ids: Promise<string>[]) =>
      (await Promise.allSettled(ids)).map((result) =>
        result.status === "fulfilled" ? "taken" : (assert(result.reason instanceof OutOfOrder), "-")
      );
    const takenFirst = await publish(here, "1", undefined);
    await here.publish("r", "bar", "of another user", "bar's");
    await here.publish("q", "foo", "in another room", "in q");
    // Each line is one turn.
    const got = [
      await outcomes(publish(there, "2", "1"), publish(there, "3", "2"), publish(there, "4", "3")),
      await outcomes(publish(here, "6", "5"), publish(here, "7", "6"), publish(here, "8", "4")),
      await outcomes(publish(here, "7", "6"), publish(here, "6", undefined)),
      await outcomes(publish(here, "7", "6"), publish(here, undefined, "7")),
      await outcomes(publish(here, "9", "bar's"), publish(here, "9", "in q")),
      await outcomes(publish(here, undefined, "none"), publish(here, "9", "9")),
      await outcomes(publish(here, "9", undefined), publish(here, "9", "9")),
    ];
    assertEquals(got, [
      ["taken", "taken", "taken"],
      ["-", "-", "taken"],
      ["-", "taken"],
      ["taken", "taken"],
      ["-", "-"],
      ["-", "-"],
      ["taken", "taken"],
    ]);
    // What is in the log is not refused, whatever it names now.
    assertEquals(await publish(there, "1", "none"), takenFirst);
    const texts = (await here.readAfter("r", "0-0", 100)).map(({ event }) => event.text);
    assertEquals(texts.map((text) => text.split(" ")[0]), [
      ...["1", "of", "2", "3", "4", "8", "6", "7", "undefined", "9"],
    ]);
  });

  test("publish() takes long chains of messages, or refuses them as a whole", async (pair) => {
    const publishChain = (prefix: string, first: string | undefined) =>
      Array.from({ length: 250 }, (_, i) => {
        const after = i === 0 ? first : `${prefix}${i - 1}`;
        return pair.here.publish("r", "foo", `${i}`, `${prefix}${i}`, after);
      });
    const refused = await Promise.allSettled(publishChain("a", "none"));
    assert(refused.every((result) => result.status === "rejected"));
    const ids = await Promise.all(publishChain("b", undefined));
    const log = await pair.there.readAfter("r", "0-0", 1_000);
    assertEquals(log.map(({ event }) => event.id), ids);
  });

  test("publish() remembers so many refs of a user, and refuses more", async (pair) => {
    const { here, there } = pair;
    const publish = (ref?: string, user = "foo", room = "r") => here.publish(room, user, "a", ref);
    // As many as one may send in five minutes, and a tenth more for connections that begin.
    const ids = await Promise.all(Array.from({ length: 330 }, (_, n) => publish(`${n}`)));
    await assertRejects(() => publish("330"), TooManyRefs);
    const inOneTurn = await Promise.allSettled([publish("0"), publish("331"), publish()]);
    assertEquals(inOneTurn.map(({ status }) => status), ["fulfilled", "rejected", "fulfilled"]);
    assertEquals(await there.publish("r", "foo", "again", "329"), ids[329]);
    await Promise.all([publish("0", "bar"), publish("0", "foo", "q")]);
    assertEquals((await there.readAfter("r", "0-0", 1_000)).length, 332);
  }, { ...AMPLE, maxMessagesPerSecond: 1 });

  test("readAfter() and readBefore() return the log page by page", async ({ here, there }) => {
    const recorder = await record(here, "r");
    const ids = await publishMany(here, "r", 25);
    await here.publish("r", "x", "end", "ref");
    await recorder.until("end");
    const all = recorder.messages();
    const pages = [];
    for (let position = "0-0";;) {
      const page = await there.readAfter("r", position, 10);
      if (page.length === 0) break;
      pages.push(page);
      position = page.at(-1)!.event.id;
    }
    assertEquals(pages.map((page) => page.length), [10, 10, 6]);
    assertEquals(pages.flat().map(({ event }) => ({ ...event })), all.map((one) => ({ ...one })));
    for (const { event, line } of pages.flat()) {
      assertEquals(JSON.parse(line), JSON.parse(JSON.stringify(event)));
    }

    const textsOf = (page: readonly { event: Message }[]) => page.map(({ event }) => event.text);
    assertEquals(textsOf(await there.readBefore("r", undefined, 2)), ["message 24", "end"]);
    assertEquals(textsOf(await there.readBefore("r", ids[2], 5)), ["message 0", "message 1"]);
    assertEquals(textsOf(await there.readBefore("r", ids[9], 2)), ["message 7", "message 8"]);
    assertEquals(await there.readBefore("r", ids[0], 5), []);
    assertEquals(await there.readAfter("r", all.at(-1)!.id, 5), []);
    assertEquals(await there.readAfter("an empty room", "0-0", 5), []);
  });

  test("a log keeps its newest messages, whose prev shows that some are gone", async ({ here }) => {
    const ids = await publishMany(here, "r", 500);
    const kept = await here.readAfter("r", "0-0", 1_000);
    assert(kept.length >= 20 && kept.length < 500, `${kept.length} were kept`);
    assertEquals(kept.map(({ event }) => event.id), ids.slice(-kept.length));
    assertEquals(kept[0].event.prev, ids[500 - kept.length - 1]);
  }, { historyLimit: 20, historySeconds: 60 });

  test("a log keeps as many messages as its bytes allow, and the newest one", async (pair) => {
    const { here, there } = pair;
    const kept = async () => (await there.readAfter("r", "0-0", 1_000)).map(({ event }) => event);
    const ids: string[] = [];
    for (let n = 0; n < 100; n++) ids.push(await here.publish("r", "foo", "x".repeat(4_000)));
    const some = await kept();
    assert(some.length >= 35 && some.length <= 60, `${some.length} were kept`);
    assertEquals(some.map(({ id }) => id), ids.slice(-some.length));
    assertEquals(some[0].prev, ids[100 - some.length - 1]);
    // The older ones are small, and the newest one is larger than the limit.
    await Promise.all(Array.from({ length: 100 }, () => here.publish("r", "foo", "small")));
    const newest = await here.publish("r", "foo", "y".repeat(250_000));
    assertEquals((await kept()).map(({ id }) => id), [newest]);
    const last = await here.publish("r", "foo", "last", "ref", undefined);
    assertEquals(await here.publish("r", "foo", "last", "ref"), last);
    assertEquals((await kept()).at(-1)?.id, last);
  }, { ...AMPLE, historyBytes: 200_000 });

  test("a log expires when nothing is published for a long time", async ({ here }) => {
    const [id] = await publishMany(here, "r", 1);
    const giveUpAt = Date.now() + 10_000;
    while ((await here.readAfter("r", "0-0", 10)).length > 0) {
      assert(Date.now() < giveUpAt, "the log is still there");
      await sleep(50);
    }
    const recorder = await record(here, "r");
    assertEquals(recorder.newest, "0-0");
    await here.publish("r", "x", "end");
    await recorder.until("end");
    assertEquals(recorder.messages()[0].prev, "0-0");
    assert(isLater(recorder.messages()[0].id, id));
  }, { historyLimit: 1_000, historySeconds: 1 });

  const DAY: LogLimits = { historyLimit: 1_000, historySeconds: 86_400 };
  const isKept = async (store: Store) => (await store.readAfter("r", "0-0", 10)).length > 0;

  const publishAs = (store: Store, user: string, session: string) =>
    store.publish("r", user, "a", undefined, undefined, { session, isNamed: false });

  test("the log of a room in which there was one user lives for ten minutes", async (pair) => {
    const { here, there, pass } = pair;
    await record(here, "r");
    await here.claim("r", "foo", "s1");
    await publishAs(here, "foo", "s1");
    await pass(3_600);
    await here.release("r", "foo", "s1");
    await pass(595);
    assert(await isKept(there), "ten minutes are not over");
    await pass(10);
    assert(!await isKept(there), "ten minutes are over");
  }, DAY);

  test("a log outlives its users if two of them were there at once", async (pair) => {
    const { here, there, pass } = pair;
    await Promise.all([record(here, "r"), record(there, "r")]);
    await here.claim("r", "foo", "s1");
    await there.claim("r", "bar", "s2");
    await there.release("r", "bar", "s2");
    await publishAs(here, "foo", "s1");
    await here.release("r", "foo", "s1");
    await pass(3_600);
    assert(await isKept(there));
    // That is remembered.
    await there.claim("r", "bar", "s3");
    await there.release("r", "bar", "s3");
    await pass(3_600);
    assert(await isKept(there));
  }, DAY);

  test("a log outlives a lone user if somebody published who was not there", async (pair) => {
    const { here, there, pass } = pair;
    await record(here, "r");
    await here.claim("r", "foo", "s1");
    await there.publish("r", "a service", "a");
    await publishAs(here, "foo", "s1");
    await here.release("r", "foo", "s1");
    await pass(3_600);
    assert(await isKept(there));
    await here.claim("r", "foo", "s2");
    await here.release("r", "foo", "s2");
    await pass(3_600);
    assert(await isKept(there));
  }, DAY);

  test("remove() takes a text away, and the message keeps its place", async ({ here, there }) => {
    const recorders = [await record(here, "r"), await record(there, "r")];
    const [one, two, three] = await Promise.all([
      here.publish("r", "foo", "one", "ref 1"),
      here.publish("r", 'bar \u00fc"', "two"),
      here.publish("r", "foo", "\ud800 three", "ref 3"),
    ]);
    assertEquals(await there.remove("r", one, "bar", false), false, "it is foo's");
    assertEquals(await there.remove("r", two, 'bar \u00fc"', false), true);
    assertEquals(await there.remove("r", three, "ann", true), true);
    // It is done already, or there is nothing to do.
    assertEquals(await here.remove("r", three, "foo", false), true);
    assertEquals(await here.remove("r", "5-0", "foo", false), true);
    assertEquals(await here.remove("empty", one, "ann", true), true);
    const last = await here.publish("r", "x", "end");
    const removed = { text: "", removed: true } as const;
    const kept: Message[] = [
      { type: "message", id: one, prev: "0-0", user: "foo", text: "one", ref: "ref 1" },
      { type: "message", id: two, prev: one, user: 'bar \u00fc"', ...removed },
      { type: "message", id: three, prev: two, user: "foo", ...removed, ref: "ref 3" },
      { type: "message", id: last, prev: three, user: "x", text: "end" },
    ];
    for (
      const entries of [
        await here.readAfter("r", "0-0", 10),
        await there.readBefore("r", undefined, 10),
      ]
    ) {
      assertEquals(entries.map(({ event }) => event), kept);
      assertEquals(entries.map(({ line }) => JSON.parse(line)), kept);
    }
    for (const recorder of recorders) {
      await recorder.until("end");
      assertEquals(recorder.events.filter(({ type }) => type === "removed"), [
        { type: "removed", id: two, by: 'bar \u00fc"' },
        { type: "removed", id: three, by: "ann" },
      ]);
    }
    assertEquals(await there.publish("r", "foo", "again", "ref 3"), three, "its ref is known");
    assertEquals((await here.readAfter("r", last, 10)).length, 0);
  });

  test("many remove() at once publish each removal once, and lose no message", async (pair) => {
    const recorder = await record(pair.there, "r");
    const published = await publishMany(pair.here, "r", 700);
    const ids = published.filter((_, i) => i % 35 === 0);
    const removals = ids.flatMap((id) =>
      [pair.here.remove("r", id, "ann", true)].concat(
        pair.there.remove("r", id, "ann", true),
        pair.there.publish("r", "foo", `after ${id}`).then(() => true),
      )
    );
    await Promise.all(removals);
    await pair.here.publish("r", "x", "end");
    await recorder.until("end");
    const removed = recorder.events.flatMap((event) => event.type === "removed" ? event.id : []);
    assertEquals(removed.sort(), ids.toSorted());
    const log = await pair.there.readAfter("r", "0-0", 1_000);
    assertEquals(log.map(({ event }) => event.id), recorder.messages().map(({ id }) => id));
    assertEquals(log.filter(({ event }) => event.removed).map(({ event }) => event.id), ids);
  });

  test("readRemovals() has what was removed after a message, as long as its log", async (pair) => {
    const { here, there, pass } = pair;
    await here.publish("r", "foo", "a");
    const b = await here.publish("r", "foo", "b");
    const nextMillisecond = async () => {
      const now = Date.now();
      while (Date.now() === now) await endOfTurn();
    };
    await here.remove("r", b, "ann", true);
    await nextMillisecond();
    const c = await here.publish("r", "foo", "c");
    await here.remove("r", c, "foo", false);
    await nextMillisecond();
    const d = await here.publish("r", "foo", "d");
    const removals: Removed[] = [
      { type: "removed", id: b, by: "ann" },
      { type: "removed", id: c, by: "foo" },
    ];
    assertEquals(await there.readRemovals("r", b), removals);
    assertEquals(await there.readRemovals("r", c), removals.slice(1));
    assertEquals(await there.readRemovals("r", d), []);
    assertEquals(await there.readRemovals("q", "0-0"), []);
    const newest = (await publishMany(here, "r", 250)).at(-1)!;
    await here.remove("r", newest, "foo", false);
    const known = await there.readRemovals("r", "0-0");
    assertEquals(known, [{ type: "removed", id: newest, by: "foo" }], "the log is shorter");
    await pass(40);
    assert((await there.readAfter("r", "0-0", 1)).length > 0, "a removal keeps its time to live");
    await pass(30);
    assertEquals(await there.readAfter("r", "0-0", 1), [], "nor does it renew it");
  }, { historyLimit: 3, historySeconds: 60 });

  test("a ban refuses claims until it is lifted or ends", async ({ here, there }) => {
    const recorders = [await record(here, "r"), await record(there, "r")];
    await Promise.all([record(here, "q"), record(there, "q")]);
    const claim = (store: Store, user: string, address?: string) =>
      store.claim("r", user, `${user}'s`, { keys: [user], address });
    const { moderation } = there;
    const before = Date.now();
    await here.moderation.restrict("banned", "r", "foo", 'ann "ü"', 60);
    for (const store of [here, there]) {
      assertEquals(await claim(store, "foo", "1.2.3.4"), "banned");
      assertEquals(await store.moderation.isBanned("r", "foo", "1.2.3.4"), true);
      assertEquals(await store.moderation.isBanned("r", "bar", "1.2.3.4"), false);
      assertEquals(await store.moderation.isBanned("q", "foo", "1.2.3.4"), false);
    }
    assertEquals(await claim(here, "bar", "1.2.3.4"), "claimed");
    assertEquals(await there.claim("q", "foo", "s1", { address: "1.2.3.4" }), "claimed");
    assertEquals(await claim(there, "foo"), "claimed", "it is asked for without an address");
    await there.release("r", "foo", "foo's");
    const [ban, ...others] = await moderation.listRestricted("banned", "r");
    assertEquals(others, []);
    assertEquals(ban, { user: "foo", by: 'ann "ü"', until: ban.until, address: false });
    assert(ban.until >= before + 60_000 && ban.until <= Date.now() + 60_000);
    assertEquals(await moderation.listRestricted("banned", "q"), []);

    await moderation.restrict("banned", "r", "foo", "bob", 0);
    await moderation.restrict("banned", "r", "foo", "bob", 0);
    await moderation.restrict("banned", "r", "never", "bob", 0);
    assertEquals(await claim(here, "foo", "1.2.3.4"), "claimed");
    assertEquals(await moderation.listRestricted("banned", "r"), []);
    await here.publish("r", "x", "end");
    for (const recorder of recorders) {
      await recorder.until("end");
      assertEquals(recorder.events.filter(({ type }) => type === "banned"), [
        { type: "banned", user: "foo", by: 'ann "ü"', until: ban.until },
        { type: "banned", user: "foo", by: "bob", until: 0 },
      ]);
    }

    await moderation.restrict("banned", "r", "pi", "ann", 1);
    while (await here.moderation.isBanned("r", "pi", "5")) await sleep(50);
    assertEquals(await claim(there, "pi", "5"), "claimed");
    assertEquals(await moderation.listRestricted("banned", "r"), []);
    const { length } = recorders[0].events;
    await moderation.restrict("banned", "r", "pi", "ann", 0);
    await here.publish("r", "x", "the end");
    await recorders[0].until("the end");
    const later = recorders[0].events.slice(length).map(({ type }) => type);
    assertEquals(later, ["message"], "there was nothing to lift");
  });

  test("a ban with addresses refuses them to everyone, as long as it lasts", async (pair) => {
    const { here, there } = pair;
    const recorder = await record(here, "r");
    await Promise.all([record(there, "r"), record(there, "q")]);
    const claim = (user: string, address: string, room = "r") =>
      there.claim(room, user, `${user}'s`, { address });
    const ban = (seconds: number, address?: boolean) =>
      here.moderation.restrict("banned", "r", "foo", "ann", seconds, address);
    await ban(60, true);
    await here.moderation.banAddress("r", "foo", "1.2.3.4");
    await here.moderation.banAddress("r", "foo", "::1");
    assertEquals(await claim("bar", "::1"), "banned");
    assertEquals(await claim("bar", "1.2.3.4"), "banned");
    assertEquals(await there.moderation.isBanned("r", "bar", "1.2.3.4"), true);
    assertEquals(await claim("bar", "1.2.3.4", "q"), "claimed");
    await ban(120, true);
    assertEquals(await claim("bar", "1.2.3.4"), "banned", "the addresses are still known");
    const [listed] = await there.moderation.listRestricted("banned", "r");
    assertEquals(listed, { user: "foo", by: "ann", until: listed.until, address: true });
    await ban(120);
    // An instance may be late.
    await here.moderation.banAddress("r", "foo", "1.2.3.4");
    assertEquals(await claim("bar", "1.2.3.4"), "claimed");
    assertEquals(await there.moderation.isBanned("r", "bar", "1.2.3.4"), false);
    await ban(120);
    await ban(120, true);
    assertEquals(await claim("two", "1.2.3.4"), "claimed", "they were forgotten");
    await here.moderation.banAddress("r", "foo", "::1");
    await ban(0);
    await here.moderation.banAddress("r", "foo", "5.6.7.8");
    assertEquals(await claim("three", "::1"), "claimed");
    assertEquals(await claim("four", "5.6.7.8"), "claimed");
    await here.publish("r", "x", "end");
    await recorder.until("end");
    const bans = recorder.events.flatMap((event) => event.type === "banned" ? event : []);
    assertEquals(bans.map(({ address }) => address), [
      ...[true, true, undefined, undefined, true, undefined],
    ]);
  });

  test("an address is banned as long as one of the users who have it", async (pair) => {
    const { here, there } = pair;
    await record(there, "r");
    const { restrict, banAddress } = here.moderation;
    const ban = async (user: string, seconds: number) => {
      await restrict("banned", "r", user, "ann", seconds, seconds > 0);
      if (seconds > 0) await banAddress("r", user, "1.2.3.4");
    };
    const outcomes = async () => {
      const outcome = await there.claim("r", "bar", "s1", { address: "1.2.3.4" });
      await there.release("r", "bar", "s1");
      return [outcome, await there.moderation.isBanned("r", "bar", "1.2.3.4")];
    };
    const [banned, free] = [["banned", true], ["claimed", false]];
    await ban("foo", 60);
    await Promise.all([ban("pi", 60), ban("foo", 60), ban("rho", 60)]);
    await ban("pi", 0);
    await ban("rho", 0);
    assertEquals(await outcomes(), banned, "foo is still banned");
    await restrict("muted", "r", "foo", "ann", 60);
    await restrict("muted", "r", "foo", "ann", 0);
    assertEquals(await outcomes(), banned, "a mute is no ban");
    await ban("pi", 60);
    await ban("foo", 0);
    assertEquals(await outcomes(), banned, "pi is banned");
    await restrict("banned", "r", "foo", "ann", 60, true);
    await ban("pi", 0);
    assertEquals(await outcomes(), free, "foo's addresses were forgotten");
    await ban("foo", 1);
    while ((await outcomes())[1]) await sleep(50);
    await restrict("banned", "r", "foo", "ann", 60, true);
    assertEquals(await outcomes(), free, "so they are when a ban ends");
  });

  test("a mute refuses messages, and nothing else, until it is lifted or ends", async (pair) => {
    const { here, there } = pair;
    const recorder = await record(here, "r");
    const taken = await here.publish("r", "foo", "before", "ref 1");
    const before = there.publish("r", "foo", "in the same turn");
    await there.moderation.restrict("muted", "r", "foo", "ann", 60);
    await before;
    const outcomes = await Promise.allSettled([
      here.publish("r", "foo", "a"),
      here.publish("r", "bar", "b", "bar's"),
      here.publish("r", "foo", "c", "ref 2", "ref 1"),
      here.publish("r", "foo", "before", "ref 1"),
      here.publish("r", "bar", "d", undefined, "bar's"),
      here.publish("q", "foo", "in another room"),
      there.publish("r", "foo", "e", "ref 3", "none"),
    ]);
    assertEquals(
      outcomes.map((one) => one.status === "fulfilled" ? "taken" : one.reason.constructor),
      [Muted, "taken", Muted, "taken", "taken", "taken", Muted],
    );
    assertEquals(outcomes[3], { status: "fulfilled", value: taken });
    await here.publishUnlogged("r", { type: "typing", user: "foo" });
    await here.publishUnlogged("r", { type: "typing", user: "bar" });
    await there.moderation.restrict("muted", "r", "foo", "ann", 0);
    await here.publishUnlogged("r", { type: "typing", user: "foo" });
    await here.publish("r", "foo", "after", "ref 2", "ref 1");
    await there.moderation.restrict("muted", "r", "foo", "ann", 1);
    const publish = () => here.publish("r", "foo", "later").then(() => true, () => false);
    while (!await publish()) await sleep(50);
    await here.publishUnlogged("r", { type: "typing", user: "foo" });
    await here.publish("r", "x", "end");
    await recorder.until("end");
    const texts = recorder.messages().map(({ text }) => text);
    assertEquals(texts, ["before", "in the same turn", "b", "d", "after", "later", "end"]);
    const typing = recorder.events.flatMap((event) => event.type === "typing" ? event.user : []);
    assertEquals(typing, ["bar", "foo", "foo"]);
    const logged = await there.readBefore("r", undefined, 20);
    assertEquals(logged.map(({ event }) => event.text), texts);
  }, { ...AMPLE, auth: {} });

  test("nobody is muted where users cannot be", async ({ here }) => {
    await here.moderation.restrict("muted", "r", "foo", "ann", 60);
    await here.publish("r", "foo", "a");
  });

  test("mutes and moderators are kept by room, until they end", async ({ here, there }) => {
    const recorder = await record(there, "r");
    const { moderation } = here;
    await moderation.restrict("muted", "r", "foo", "ann", 60);
    const [mute, ...others] = await there.moderation.listRestricted("muted", "r");
    assertEquals(others, []);
    assertEquals(mute, { user: "foo", by: "ann", until: mute.until, address: false });
    assertEquals(await moderation.isBanned("r", "foo", "1.2.3.4"), false);
    const mutes = () =>
      Promise.all([["r", "foo"], ["r", "ann"], ["q", "foo"]]
        .map(([room, user]) => there.moderation.mutedUntil(room, user)));
    assertEquals(await mutes(), [mute.until, 0, 0]);
    await moderation.restrict("muted", "r", "foo", "ann", 0);
    assertEquals(await there.moderation.listRestricted("muted", "r"), []);
    assertEquals(await mutes(), [0, 0, 0]);

    await moderation.noteModerator("r", "ann", Date.now() + 60_000);
    await moderation.noteModerator("r", "ann", Date.now() - 1);
    await moderation.noteModerator("r", "bob", Date.now() - 1);
    // What has ended is removed, and nothing else.
    await moderation.restrict("banned", "r", "foo", "ann", 60);
    const answers = [["r", "ann"], ["r", "bob"], ["r", "foo"], ["q", "ann"]]
      .map(([room, user]) => there.moderation.isModerator(room, user));
    assertEquals(await Promise.all(answers), [true, false, false, false]);
    await here.publish("r", "x", "end");
    await recorder.until("end");
    assertEquals(recorder.events.filter(({ type }) => type === "muted"), [
      { type: "muted", user: "foo", by: "ann", until: mute.until },
      { type: "muted", user: "foo", by: "ann", until: 0 },
    ]);
  });

  test("listUsers() lists every user who stays, page by page", async ({ here, there }) => {
    await Promise.all([record(here, "r"), record(there, "r")]);
    assertEquals(await here.listUsers("r", undefined, 10), {
      users: [],
      total: 0,
      next: undefined,
    });
    const names = Array.from({ length: 500 }, (_, i) => `user-${i}`);
    await Promise.all(names.map((name, i) => [here, there][i % 2].claim("r", name, name)));
    const seen = new Set<string>();
    let pages = 0;
    let cursor: string | undefined;
    do {
      const page = await there.listUsers("r", cursor, 20);
      assertEquals(page.total, 500 - pages);
      page.users.forEach((user) => seen.add(user));
      cursor = page.next;
      // Users who were listed leave. No other user may move to a page that was read already.
      await here.release("r", names[2 * pages], names[2 * pages]);
      await there.release("r", names[2 * pages], names[2 * pages]);
      await there.release("r", names[2 * pages + 1], names[2 * pages + 1]);
      await there.claim("r", names[2 * pages + 1], "again");
      pages++;
    } while (cursor !== undefined);
    assert(pages >= 20 && pages < 60, `${pages} pages`);
    const stayed = names.filter((_, i) => i >= 2 * pages);
    assertEquals(stayed.filter((name) => !seen.has(name)), []);
  });

  test("ping() resolves", async ({ here }) => {
    await here.ping();
  });
}
