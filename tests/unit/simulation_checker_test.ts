import { assertEquals, assertMatch } from "@std/assert";
import { check } from "../support/simulation/checker.ts";
import { parseText } from "../support/simulation/transcript.ts";
import type { Appended, ClientKind, Entry, History } from "../support/simulation/transcript.ts";

/** A log under construction, with the time of the next thing that happens. */
class Log {
  readonly appended: Appended[] = [];
  #list: readonly Appended[] = [];
  readonly lost = new Set<Appended>();
  lossAt = Infinity;
  now = 0;

  append(id: string, text: string, prev = this.#list.at(-1)?.id ?? "0-0"): Appended {
    const { user } = parseText(text)!;
    const at = ++this.now, index = this.appended.length;
    const appended: Appended = { id, prev, user, text, at, index, before: this.#list };
    this.appended.push(appended);
    this.#list = [...this.#list, appended];
    return appended;
  }

  /** Loses messages at the end. */
  lose(count: number): void {
    this.lossAt = Math.min(this.lossAt, ++this.now);
    const end = this.#list.length - count;
    for (const appended of this.#list.slice(end)) this.lost.add(appended);
    this.#list = this.#list.slice(0, end);
  }

  /** Gets lost messages back, after those that it has now. */
  restore(...lost: Appended[]): void {
    this.#list = [...this.#list, ...lost];
  }

  history(): History {
    return {
      ...{ appended: this.appended, final: this.#list, finalIds: this.#list.map(({ id }) => id) },
      ...{ lost: this.lost, lossAt: this.lossAt, violations: [] },
    };
  }
}

/** What one client records. */
class Client {
  readonly entries: Entry[] = [];
  readonly #log: Log;

  constructor(log: Log, readonly kind: ClientKind, readonly user: string) {
    this.#log = log;
  }

  open(instance = 0, since?: string): this {
    this.entries.push({ at: ++this.#log.now, type: "opened", instance, since });
    return this;
  }

  close(): this {
    this.entries.push({ at: ++this.#log.now, type: "closed", code: 1006 });
    return this;
  }

  /** A welcome; `last` for a new session, `recovered` for one that resumes. */
  welcome({ last = "0-0", recovered = false } = {}): this {
    return this.event({ type: "welcome", last, recovered });
  }

  event(event: unknown): this {
    this.entries.push({ at: ++this.#log.now, type: "received", event });
    return this;
  }

  line(line: string): this {
    this.entries.push({ at: ++this.#log.now, type: "receivedText", line });
    return this;
  }

  get(...messages: Appended[]): this {
    for (const { id, prev, user, text } of messages) {
      if (this.kind === "text") this.line(`${user}: ${text}`);
      else this.event({ type: "message", id, prev, user, text });
    }
    return this;
  }

  send(text: string, ref: string): this {
    this.entries.push({ at: ++this.#log.now, type: "sent", text, ref });
    return this;
  }
}

function assertRight(log: Log, ...clients: Client[]): void {
  assertEquals(check(log.history(), clients), []);
}

function assertWrong(words: RegExp, log: Log, ...clients: Client[]): void {
  const violations = check(log.history(), clients);
  assertEquals(violations.length, 1, violations.join("\n"));
  assertMatch(violations[0], words);
}

/** A log with three messages, and a client that joined before them. */
function start(kind: ClientKind = "trusting", user = "a") {
  const log = new Log();
  const client = new Client(log, kind, user).open().welcome();
  if (kind === "text") client.line(`Welcome ${user}!`);
  const [one, two, three] = [1, 2, 3].map((n) => log.append(`${n}-0`, `real b ref ${n}`));
  return { log, client, one, two, three };
}

Deno.test("a simulation in which every message is received in order is right", () => {
  for (const kind of ["comparing", "trusting", "text"] as const) {
    const { log, client, one, two, three } = start(kind);
    client.get(one, two, three);
    assertRight(log, client);
  }
});

Deno.test("a message that is missing, late, repeated or invented is found", () => {
  const { log, client, one, two, three } = start();
  client.get(one, two, three);
  /** A client that joined as early. */
  const early = (...received: Appended[]) => {
    const client = new Client(log, "trusting", "c").open().welcome().get(...received);
    Object.assign(client.entries[0], { at: 0 });
    return client;
  };
  assertWrong(/^c received "real b ref 3" \(3-0\) without "real b ref 2"/, log, early(one, three));
  assertWrong(/^c never received "real b ref 3"/, log, early(one, two));
  assertWrong(/^c received "real b ref 2" \(2-0\) twice/, log, early(one, two, two, three));
  const late = check(log.history(), [early(one, three, two)]);
  assertMatch(late.join("\n"), /received "real b ref 2" \(2-0\) too late/);
  const invented = { ...three, id: "4-0" };
  assertWrong(/received 4-0, which was never in the log/, log, early(one, two, three, invented));
  const renamed = { ...three, user: "d" };
  assertWrong(/received 3-0 from d after 2-0, not as logged/, log, early(one, two, renamed));
});

Deno.test("a hole must be told, in a way that this kind of client understands", () => {
  const holes: Record<ClientKind, (client: Client) => void> = {
    comparing: () => {},
    trusting: (client) => client.event({ type: "resync", last: "2-0", gap: true }),
    text: (client) => client.line("some messages are missing here"),
  };
  for (const kind of ["comparing", "trusting", "text"] as const) {
    const { log, client, one, three } = start(kind);
    log.lossAt = 0;
    client.get(one);
    holes[kind](client);
    client.get(three);
    assertRight(log, client);
  }
  for (const kind of ["trusting", "text"] as const) {
    const { log, client, one, three } = start(kind);
    log.lossAt = 0;
    client.get(one, three);
    assertWrong(/without "real b ref 2" \(2-0\), and was told of no hole/, log, client);
  }
});

Deno.test("a hole that is told where nothing can be missing is found", () => {
  const { log, client, one, two, three } = start();
  client.get(one).event({ type: "resync", last: "1-0", gap: true }).get(two, three);
  assertWrong(/told of a hole where nothing is missing: resync/, log, client);
});

Deno.test("a client that resumes is promised what it missed meanwhile", () => {
  for (const recovered of [true, false]) {
    const { log, client, one, two, three } = start();
    log.lossAt = 0;
    client.get(one).close().open(1, "1-0").welcome({ recovered });
    client.get(three);
    if (recovered) assertWrong(/without "real b ref 2"/, log, client);
    else assertRight(log, client);
    assertEquals(two.id, "2-0");
  }
});

Deno.test("a new session is promised nothing from before it joined", () => {
  const { log, client, one, two, three } = start();
  client.get(one, two, three).close().open(1).welcome({ last: "3-0" });
  client.get(log.append("4-0", "real b ref 4"));
  assertRight(log, client);
});

Deno.test("what a user of the text protocol sent is not promised to that user", () => {
  const { log, client, one, two, three } = start("text", "b");
  client.get(log.append("4-0", "real a ref 1"));
  assertRight(log, client);
  assertEquals([one, two, three].length, 3);
});

Deno.test("nobody can know of a lost message whose successor follows the client's last one", () => {
  const { log, client, one } = start();
  client.get(one);
  log.lose(2);
  client.get(log.append("4-0", "real b ref 4"));
  assertRight(log, client);
});

Deno.test("a lost message is told of if the next one does not follow the client's last one", () => {
  for (const gap of [true, false]) {
    const { log, client, one } = start();
    client.get(one);
    log.lose(2);
    client.event({ type: "resync", last: "3-0", gap });
    client.get(log.append("4-0", "real b ref 4", "3-0"));
    if (gap) assertRight(log, client);
    else {assertWrong(
        /without "real b ref 2" \(2-0\), "real b ref 3" \(3-0\), and was/,
        log,
        client,
      );}
  }
});

Deno.test("a lost message that another client of the instance received must be told of", () => {
  for (const instance of [0, 1]) {
    const { log, client, one, two, three } = start();
    const other = new Client(log, "trusting", "c").open(instance).welcome().get(one, two, three);
    Object.assign(other.entries[0], { at: 0 });
    client.get(one);
    log.lose(2);
    const four = log.append("4-0", "real b ref 4");
    client.get(four);
    other.event({ type: "resync", last: "1-0", gap: false }).get(four);
    if (instance === 1) assertRight(log, client, other);
    else assertWrong(/^a received 4-0 without .* which its instance heard/, log, client, other);
  }
});

Deno.test("lower ids need a resync", () => {
  for (const isTold of [true, false]) {
    const { log, client, one, two, three } = start();
    client.get(one, two, three);
    log.lose(3);
    if (isTold) client.event({ type: "resync", last: "0-0", gap: false });
    client.get(log.append("0-5", "real b ref 4"));
    if (isTold) assertRight(log, client);
    else assertWrong(/received "real b ref 4" \(0-5\) after 3-0, without a resync/, log, client);
  }
});

Deno.test("a message that Redis lost and got again may come twice, another one may not", () => {
  const { log, client, one, two, three } = start();
  client.get(one, two, three);
  log.lose(1);
  const again = log.append("4-0", three.text);
  client.event({ type: "resync", last: "2-0", gap: false }).get(again);
  assertRight(log, client);
});

Deno.test("what Redis got back from a snapshot may come again, nothing else may", () => {
  for (const isLost of [true, false]) {
    const { log, client, one, two, three } = start();
    client.get(one, two, three);
    log.lose(1);
    log.restore(three);
    client.event({ type: "resync", last: "1-0", gap: true }).get(isLost ? three : two);
    if (isLost) assertRight(log, client);
    else assertWrong(/received "real b ref 2" \(2-0\) twice/, log, client);
  }
});

Deno.test("forged messages are not counted, and their ids are positions that no log has", () => {
  const { log, client, one, two, three } = start("comparing");
  const forged = { type: "message", id: "9-9", prev: "1-0", user: "b", text: "forged" };
  client.get(one).event(forged).event({ type: "resync", last: "1-0", gap: false });
  client.get(two, three);
  assertRight(log, client);
  const deaf = new Client(log, "comparing", "c").open().welcome().get(one).event(forged);
  Object.assign(deaf.entries[0], { at: 0 });
  assertWrong(/^c never received "real b ref 2"/, log, deaf);
});

Deno.test("answers are checked: one for each attempt, and true", () => {
  const { log, client, one, two, three } = start("trusting", "b");
  client.get(one, two, three);
  const ack = { type: "ack", ref: "r", id: "3-0" };
  const sender = () => {
    const copy = new Client(log, "trusting", "b");
    copy.entries.push(...client.entries);
    return copy.send(three.text, "r");
  };
  assertRight(log, sender().event(ack));
  assertWrong(/no answer to r/, log, sender());
  assertWrong(/one answer too many to r/, log, sender().event(ack).event(ack));
  assertWrong(/an ack .* never in the log/, log, sender().event({ ...ack, id: "8-0" }));
  const refused = sender().event({ type: "error", code: "not_delivered", ref: "r" });
  refused.entries.push({ at: ++log.now, type: "gaveUp", text: three.text });
  assertWrong(/was refused "real b ref 3", which is in the log/, log, refused);
});
