import { assertEquals } from "@std/assert";
import { type Event, parseEvent } from "../chat/events.ts";
import type { Listener, Store } from "../chat/store.ts";

/** Two stores that meet, as those of two instances; `end` closes what is behind them. */
export interface Pair {
  readonly here: Store;
  readonly there: Store;
  end(): PromiseLike<void>;
}

/** What a store hears in a room, to be waited for. */
class Heard {
  readonly payloads: string[] = [];
  #wake = Promise.withResolvers<void>();

  readonly listener: Listener = {
    hear: (payload) => {
      this.payloads.push(payload);
      this.#wake.resolve();
      this.#wake = Promise.withResolvers();
    },
    lost: (user) => {
      throw new Error(`${user} was lost`);
    },
  };

  /** Resolves with all events once a message with this text has come. */
  async until(text: string): Promise<unknown[]> {
    for (;;) {
      const events = this.payloads.map(parseEvent);
      if (events.some((event) => event.type === "message" && event.text === text)) return events;
      await this.#wake.promise;
    }
  }
}

async function hear(store: Store, room: string): Promise<Heard> {
  const heard = new Heard();
  await store.subscribe(room, heard.listener);
  return heard;
}

const end: Event = { type: "message", user: "x", text: "end" };

/** Defines the tests that every store has to pass. */
export function testStore(name: string, open: () => Promise<Pair>): void {
  function test(statement: string, body: (pair: Pair) => Promise<void>): void {
    Deno.test(`${name}: ${statement}`, async () => {
      const pair = await open();
      try {
        await body(pair);
      } finally {
        await Promise.all([pair.here.close(), pair.there.close()]);
        await pair.end();
      }
    });
  }

  test("claim() gives a name to the first, and tells both sides with its session", async (pair) => {
    const heard = [await hear(pair.here, "r"), await hear(pair.there, "r")];
    assertEquals(await pair.here.claim("r", "foo", "s1"), true);
    assertEquals(await pair.there.claim("r", "foo", "s2"), false);
    assertEquals(await pair.here.claim("r", "foo", "s3"), false);
    await pair.here.say("r", "x", "end");
    for (const one of heard) {
      assertEquals(await one.until("end"), [{ type: "joined", user: "foo", session: "s1" }, end]);
    }
  });

  test("claim() gives a name to one of many who ask at once", async ({ here, there }) => {
    await Promise.all([hear(here, "r"), hear(there, "r")]);
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, i) => [here, there][i % 2].claim("r", "foo", `s${i}`)),
    );
    assertEquals(answers.filter(Boolean).length, 1);
  });

  test("claim() gives the same name in another room", async ({ here, there }) => {
    await Promise.all(["r", "q", "chat"].flatMap((r) => [hear(here, r), hear(there, r)]));
    assertEquals(await here.claim("r", "foo", "s1"), true);
    assertEquals(await there.claim("q", "foo", "s2"), true);
    assertEquals(await there.claim("chat", "foo", "s3"), true);
  });

  test("release() frees a name and tells both sides", async ({ here, there }) => {
    const heard = [await hear(here, "r"), await hear(there, "r")];
    await here.claim("r", "foo", "s1");
    await here.release("r", "foo");
    assertEquals(await there.claim("r", "foo", "s2"), true);
    await there.say("r", "x", "end");
    for (const one of heard) {
      assertEquals(await one.until("end"), [
        { type: "joined", user: "foo", session: "s1" },
        { type: "left", user: "foo" },
        { type: "joined", user: "foo", session: "s2" },
        end,
      ]);
    }
  });

  test("release() leaves alone what another holds, or nobody", async ({ here, there }) => {
    const heard = await hear(here, "r");
    await hear(there, "r");
    await here.claim("r", "foo", "s1");
    await there.release("r", "foo");
    await there.release("r", "bar");
    assertEquals(await there.claim("r", "foo", "s2"), false);
    await there.say("r", "x", "end");
    assertEquals(await heard.until("end"), [{ type: "joined", user: "foo", session: "s1" }, end]);
  });

  test("say() reaches both sides in one order, whatever the text", async ({ here, there }) => {
    const heard = [await hear(here, "r"), await hear(there, "r")];
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
      texts.flatMap((text) => [here.say("r", "foo", text), there.say("r", "bar", text)]),
    );
    await here.say("r", "x", "end");
    const [one, other] = await Promise.all(heard.map((h) => h.until("end")));
    assertEquals(one, other);
    for (const user of ["foo", "bar"]) {
      const said = (one as { user: string; text: string }[]).filter((e) => e.user === user);
      assertEquals(said.map((e) => e.text), texts);
    }
  });

  test("calls of one store take effect in the order in which they are made", async (pair) => {
    const heard = await hear(pair.there, "r");
    await hear(pair.here, "r");
    const calls = [
      pair.here.claim("r", "foo", "s1"),
      pair.here.say("r", "foo", "one"),
      pair.here.release("r", "foo"),
      pair.here.claim("r", "foo", "s2"),
      pair.here.say("r", "x", "end"),
    ];
    await Promise.all(calls);
    assertEquals(await heard.until("end"), [
      { type: "joined", user: "foo", session: "s1" },
      { type: "message", user: "foo", text: "one" },
      { type: "left", user: "foo" },
      { type: "joined", user: "foo", session: "s2" },
      end,
    ]);
  });

  test("a room's events stay in the room", async ({ here, there }) => {
    const [r, chat] = [await hear(here, "r"), await hear(here, "chat")];
    await there.say("q", "foo", "in q");
    await there.say("chat", "foo", "in chat");
    await there.say("r", "foo", "in r");
    await there.say("r", "x", "end");
    await there.say("chat", "x", "end");
    assertEquals(await r.until("end"), [{ type: "message", user: "foo", text: "in r" }, end]);
    assertEquals(await chat.until("end"), [{ type: "message", user: "foo", text: "in chat" }, end]);
  });

  test("unsubscribe() ends what its listener hears, and a next one can come", async (pair) => {
    const first = await hear(pair.here, "r");
    await pair.here.unsubscribe("r");
    await pair.there.say("r", "foo", "unheard");
    const second = await hear(pair.here, "r");
    await pair.there.say("r", "x", "end");
    assertEquals(await second.until("end"), [end]);
    assertEquals(first.payloads, []);
  });

  test("subscribe() right after unsubscribe() stands", async ({ here, there }) => {
    await hear(here, "r");
    const gone = here.unsubscribe("r");
    const second = await hear(here, "r");
    await gone;
    await there.say("r", "x", "end");
    assertEquals(await second.until("end"), [end]);
  });

  test("ping() is answered", async ({ here }) => {
    await here.ping();
  });
}
