import { assert, assertEquals } from "@std/assert";
import type { Message, Notice, RoomEvent } from "../../chat/protocol/events.ts";
import { isLater } from "../../chat/protocol/ids.ts";
import type { LogLimits, RoomListener, Store } from "../../chat/store/store.ts";
import { sleep } from "../support/wait.ts";

/** Two stores that meet, as those of two instances; `end` closes what is behind them. */
export interface Pair {
  readonly here: Store;
  readonly there: Store;
  end(): PromiseLike<void>;
}

/** What a store hears in a room, to be waited for. */
class Heard {
  readonly events: (RoomEvent | Notice)[] = [];
  /** The id of the newest message when it began. */
  newest = "";
  #wake = Promise.withResolvers<void>();

  readonly listener: RoomListener = {
    onEvent: (event, line) => {
      assertEquals(JSON.parse(line), JSON.parse(JSON.stringify(event)), "the line is the event");
      this.events.push(event);
      this.#wake.resolve();
      this.#wake = Promise.withResolvers();
    },
    onNameLost: (user) => {
      throw new Error(`${user} was lost`);
    },
  };

  /** Resolves with all events, without where they stand in the log, once a message with this text has come. */
  async until(text: string): Promise<unknown[]> {
    while (!this.messages().some((message) => message.text === text)) await this.#wake.promise;
    return this.events.map(withoutPlace);
  }

  /** The messages among what was heard. */
  messages(): Message[] {
    return this.events.filter((event) => event.type === "message");
  }
}

function withoutPlace(event: RoomEvent | Notice): unknown {
  if (event.type !== "message") return event;
  const { id: _, prev: __, ...rest } = event;
  return rest;
}

async function hear(store: Store, room: string): Promise<Heard> {
  const heard = new Heard();
  heard.newest = await store.subscribe(room, heard.listener);
  return heard;
}

const end = { type: "message", user: "x", text: "end" };

/** Says so many things in a room; gives their ids. */
async function sayMany(store: Store, room: string, count: number): Promise<string[]> {
  const texts = Array.from({ length: count }, (_, i) => `message ${i}`);
  return await Promise.all(texts.map((text) => store.publish(room, "foo", text)));
}

/** Enough for all tests but those on what is kept. */
const ENOUGH: LogLimits = { historyLimit: 1_000, historySeconds: 60 };

/** Defines the tests that every store has to pass. */
export function testStore(name: string, open: (limits: LogLimits) => Promise<Pair>): void {
  function test(
    statement: string,
    body: (pair: Pair) => Promise<void>,
    limits: LogLimits = ENOUGH,
  ): void {
    Deno.test(`${name}: ${statement}`, async () => {
      const pair = await open(limits);
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
    await pair.here.publish("r", "x", "end");
    for (const one of heard) {
      assertEquals(await one.until("end"), [{
        type: "joined",
        user: "foo",
        session: "s1",
        users: 1,
      }, end]);
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
    await there.publish("r", "x", "end");
    for (const one of heard) {
      assertEquals(await one.until("end"), [
        { type: "joined", user: "foo", session: "s1", users: 1 },
        { type: "left", user: "foo" },
        { type: "joined", user: "foo", session: "s2", users: 1 },
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
    await there.publish("r", "x", "end");
    assertEquals(await heard.until("end"), [{
      type: "joined",
      user: "foo",
      session: "s1",
      users: 1,
    }, end]);
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
      texts.flatMap((text) => [here.publish("r", "foo", text), there.publish("r", "bar", text)]),
    );
    await here.publish("r", "x", "end");
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
      pair.here.publish("r", "foo", "one"),
      pair.here.release("r", "foo"),
      pair.here.publish("r", "bar", "two"),
      pair.here.claim("r", "foo", "s2"),
      pair.here.publish("r", "x", "end"),
    ];
    await Promise.all(calls);
    assertEquals(await heard.until("end"), [
      { type: "joined", user: "foo", session: "s1", users: 1 },
      { type: "message", user: "foo", text: "one" },
      { type: "left", user: "foo" },
      { type: "message", user: "bar", text: "two" },
      { type: "joined", user: "foo", session: "s2", users: 1 },
      end,
    ]);
  });

  test("a room's events stay in the room", async ({ here, there }) => {
    const [r, chat] = [await hear(here, "r"), await hear(here, "chat")];
    await there.publish("q", "foo", "in q");
    await there.publish("chat", "foo", "in chat");
    await there.publish("r", "foo", "in r");
    await there.publish("r", "x", "end");
    await there.publish("chat", "x", "end");
    assertEquals(await r.until("end"), [{ type: "message", user: "foo", text: "in r" }, end]);
    assertEquals(await chat.until("end"), [{ type: "message", user: "foo", text: "in chat" }, end]);
  });

  test("unsubscribe() ends what its listener hears, and a next one can come", async (pair) => {
    const first = await hear(pair.here, "r");
    await pair.here.unsubscribe("r");
    await pair.there.publish("r", "foo", "unheard");
    const second = await hear(pair.here, "r");
    await pair.there.publish("r", "x", "end");
    assertEquals(await second.until("end"), [end]);
    assertEquals(first.events, []);
  });

  test("subscribe() right after unsubscribe() stands", async ({ here, there }) => {
    await hear(here, "r");
    const gone = here.unsubscribe("r");
    const second = await hear(here, "r");
    await gone;
    await there.publish("r", "x", "end");
    assertEquals(await second.until("end"), [end]);
  });

  test("joined says how many are there", async ({ here, there }) => {
    const heard = await hear(here, "r");
    await hear(there, "r");
    await here.claim("r", "foo", "s1");
    await there.claim("r", "bar", "s2");
    await here.release("r", "foo");
    await here.claim("r", "pi", "s3");
    await here.publish("r", "x", "end");
    await heard.until("end");
    assertEquals(
      heard.events.flatMap((event) => event.type === "joined" ? [[event.user, event.users]] : []),
      [["foo", 1], ["bar", 2], ["pi", 2]],
    );
  });

  test("say() gives each message an id that is later, and the one before", async (pair) => {
    const heard = await hear(pair.there, "r");
    assertEquals(heard.newest, "0-0");
    const ids = await sayMany(pair.here, "r", 50);
    await pair.there.publish("r", "x", "end");
    await heard.until("end");
    const messages = heard.messages();
    assertEquals(messages.slice(0, -1).map(({ id }) => id), ids);
    assertEquals(messages.map(({ prev }) => prev), ["0-0", ...ids]);
    for (const { id, prev } of messages) assert(isLater(id, prev), `${id} after ${prev}`);
    assertEquals((await hear(pair.here, "r")).newest, messages.at(-1)!.id);
  });

  test("say() with one ref 50 times at once publishes once and has one answer", async (pair) => {
    const heard = await hear(pair.here, "r");
    const ids = await Promise.all(
      Array.from(
        { length: 50 },
        (_, i) => [pair.here, pair.there][i % 2].publish("r", "foo", `try ${i}`, "ref 1"),
      ),
    );
    assertEquals(new Set(ids).size, 1);
    await pair.here.publish("r", "x", "end");
    const said = await heard.until("end") as Message[];
    assertEquals(said.length, 2);
    assertEquals(said[0].ref, "ref 1");
    assertEquals((await pair.here.readAfter("r", "0-0", 10)).length, 2);
  });

  test("say() tells refs of others, of other rooms, and none from one another", async (pair) => {
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

  test("readAfter() and readBefore() give what was said, page by page", async ({ here, there }) => {
    const heard = await hear(here, "r");
    const ids = await sayMany(here, "r", 25);
    await here.publish("r", "x", "end", "ref");
    await heard.until("end");
    const all = heard.messages();
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
    assertEquals(await there.readAfter("nobody was here", "0-0", 5), []);
  });

  test("of much that was said the newest is kept, and shows what is missing", async ({ here }) => {
    const ids = await sayMany(here, "r", 500);
    const kept = await here.readAfter("r", "0-0", 1_000);
    assert(kept.length >= 20 && kept.length < 500, `${kept.length} were kept`);
    assertEquals(kept.map(({ event }) => event.id), ids.slice(-kept.length));
    assertEquals(kept[0].event.prev, ids[500 - kept.length - 1]);
  }, { historyLimit: 20, historySeconds: 60 });

  test("a log goes away when nothing was said for long", async ({ here }) => {
    const [id] = await sayMany(here, "r", 1);
    const until = Date.now() + 10_000;
    while ((await here.readAfter("r", "0-0", 10)).length > 0) {
      assert(Date.now() < until, "it is still there");
      await sleep(50);
    }
    const heard = await hear(here, "r");
    assertEquals(heard.newest, "0-0");
    await here.publish("r", "x", "end");
    await heard.until("end");
    assertEquals(heard.messages()[0].prev, "0-0");
    assert(isLater(heard.messages()[0].id, id));
  }, { historyLimit: 1_000, historySeconds: 1 });

  test("users() lists everyone who stays, page by page", async ({ here, there }) => {
    await Promise.all([hear(here, "r"), hear(there, "r")]);
    assertEquals(await here.listUsers("r", undefined, 10), {
      users: [],
      total: 0,
      next: undefined,
    });
    const names = Array.from({ length: 500 }, (_, i) => `user-${i}`);
    await Promise.all(names.map((name, i) => [here, there][i % 2].claim("r", name, name)));
    const seen = new Set<string>();
    let pages = 0;
    let from: string | undefined;
    do {
      const page = await there.listUsers("r", from, 20);
      assertEquals(page.total, 500 - pages);
      page.users.forEach((user) => seen.add(user));
      from = page.next;
      // Someone who was listed leaves, and the rest must not move up past the reader.
      await here.release("r", names[2 * pages]);
      await there.release("r", names[2 * pages]);
      await there.release("r", names[2 * pages + 1]);
      await there.claim("r", names[2 * pages + 1], "again");
      pages++;
    } while (from !== undefined);
    assert(pages >= 20 && pages < 60, `${pages} pages`);
    const stayed = names.filter((_, i) => i >= 2 * pages);
    assertEquals(stayed.filter((name) => !seen.has(name)), []);
  });

  test("ping() is answered", async ({ here }) => {
    await here.ping();
  });
}
