/**
 * Judges a simulation by what the clients recorded and what an observer of Redis saw. It shares no
 * code with `chat/`.
 *
 * What is promised, and to whom:
 *
 * 1. The log has each message once, and one sender's messages in the order in which they were sent:
 *    those with a `ref` among themselves, and those without one among themselves.
 * 2. An acknowledged message was appended to the log. A message that was refused, and was never in
 *    doubt, was not.
 * 3. A client is promised every message that was published after it had joined the room, or that a
 *    resumed session continues with. It receives each of them once, in the order of the log, with
 *    the id, sender and text that the log has. A user of the text protocol does not receive what
 *    that user sent, and does not resume.
 * 4. When a client receives a message, it has received every promised message that was before it in
 *    the log, or has been told of a hole since the promised message before. A hole is told by
 *    `recovered: false` to a client that resumes, by `resync` with `gap: true`, by the line "some
 *    messages are missing here" to users of the text protocol, and by a `prev` that is not the
 *    client's position, but only to clients that compare it.
 * 5. Redis may have lost messages from the end of the log before the next one was appended. Nobody
 *    can know of them if the `prev` of that next message is the client's own last message. If it is
 *    not, a client that missed any of them is told of a hole. So is one whose instance heard them
 *    while the client was in the room, which shows in what others received from that instance.
 * 6. Where Redis has lost nothing, and nobody has forged a message that seems to be the next one,
 *    nobody is told of a hole.
 * 7. The ids that a JSON client receives rise. After a `resync`, or a hole, they may begin again at
 *    lower ones.
 * 8. Each attempt to send a message with a `ref` gets at most one answer, and gets one if the
 *    connection lasts. (The end of the run is one at which each client has all answers.)
 *
 * A message that Redis lost, and that its sender sent again before it was acknowledged, may come
 * twice: its `ref` was lost, too. So may one that Redis lost and got back, from a snapshot or from
 * a former primary. It may also come after messages that followed it before. A forged message that
 * follows a client's position may be delivered, and changes nothing else.
 */
import {
  type Appended,
  type ClientKind,
  type Entry,
  type History,
  parseText,
  type Transcript,
} from "./transcript.ts";

/** What users of the text protocol read where messages are missing. */
const MISSING_LINE = "some messages are missing here";

/** How much later than a client the observer may see a message, in milliseconds. */
const LAG_MS = 20;

/** How many messages a violation quotes. */
const MAX_QUOTED = 3;

/** What one client received on one connection, for the comparison within an instance. */
interface Connection {
  readonly stream: Stream;
  readonly instance: number;
  /** When the client was welcomed. */
  joinedAt: number;
  readonly received: { readonly appended: Appended; readonly at: number }[];
  /** The places in `received` before which a hole was told. */
  readonly holes: Set<number>;
}

/** What a client receives, over all connections on which it resumes. */
interface Stream {
  readonly user: string;
  readonly openedAt: number;
  readonly got: Set<Appended>;
  /** What the client was told that it has missed, and what was published before it joined. */
  readonly excused: Set<Appended>;
  /** Everything that was in the log before something that the client has received. */
  readonly passed: Set<Appended>;
  /** The client's last message of the simulation. */
  last: Appended | undefined;
  /** The client's position, which a forged message can be; `undefined` if the next one is any. */
  position: string | undefined;
  /** Whether it is known after which message the client joined. A text user is not told. */
  isStartKnown: boolean;
  /** Whether a hole was told since the last message. */
  isHoleTold: boolean;
  /** Whether ids may begin again at lower ones. */
  mayGoBack: boolean;
}

/** Returns what was promised and not kept, in words; nothing if all is well. */
export function check(history: History, transcripts: readonly Transcript[]): string[] {
  return [
    ...history.violations,
    ...checkFinalLog(history),
    ...checkAnswers(history, transcripts),
    ...checkDeliveries(history, transcripts),
  ];
}

/** What is in the log at its end was published, too, and nothing else is. */
function checkFinalLog({ final, finalIds }: History): string[] {
  const observed = final.slice(final.length - finalIds.length).map(({ id }) => id);
  const middle = final.map(({ id }) => id);
  const unpublished = finalIds.filter((id) => !middle.includes(id));
  if (unpublished.length > 0) return [`in the log, but never published: ${quote(unpublished)}`];
  if (finalIds.length > 0 && observed.at(-1) !== finalIds.at(-1)) {
    return [
      `the log ends with ${finalIds.at(-1)}, but the last one published is ${observed.at(-1)}`,
    ];
  }
  return [];
}

function checkAnswers({ appended }: History, transcripts: readonly Transcript[]): string[] {
  const violations: string[] = [];
  const texts = new Set(appended.map(({ text }) => text));
  const keys = new Set(appended.map(({ id, text }) => `${id} ${text}`));
  for (const { user, entries } of transcripts) {
    const textOf = new Map<string, string>();
    let open = new Map<string, number>();
    for (const entry of entries) {
      if (entry.type === "opened") open = new Map();
      if (entry.type === "gaveUp" && texts.has(entry.text)) {
        violations.push(`${user} was refused "${short(entry.text)}", which is in the log`);
      }
      if (entry.type === "sent" && entry.ref !== undefined) {
        textOf.set(entry.ref, entry.text);
        open.set(entry.ref, (open.get(entry.ref) ?? 0) + 1);
      }
      const { type, ref, id } = entry.type === "received"
        ? entry.event
        : {} as Record<string, string>;
      if (type !== "ack" && (type !== "error" || ref === undefined)) continue;
      const left = (open.get(ref) ?? 0) - 1;
      open.set(ref, left);
      if (left < 0) violations.push(`${user} got one answer too many to ${ref}: ${type}`);
      const text = textOf.get(ref)!;
      if (type === "ack" && !keys.has(`${id} ${text}`)) {
        violations.push(
          `${user} got an ack for "${short(text)}" (${id}), which was never in the log`,
        );
      }
    }
    if (entries.at(-1)?.type === "closed") continue;
    for (const [ref, left] of open) {
      if (left > 0) violations.push(`${user} got no answer to ${ref}`);
    }
  }
  return violations;
}

function checkDeliveries(history: History, transcripts: readonly Transcript[]): string[] {
  const violations: string[] = [];
  const connections: Connection[] = [];
  for (const transcript of transcripts) {
    new Receiver(history, transcript, connections, violations).check();
  }
  for (const one of connections) {
    for (const other of connections) {
      if (one === other || one.instance !== other.instance) continue;
      compare(one, other, violations);
    }
  }
  return violations;
}

/** Walks through one client's transcript. */
class Receiver {
  readonly #history: History;
  readonly #user: string;
  readonly #kind: ClientKind;
  readonly #entries: readonly Entry[];
  readonly #connections: Connection[];
  readonly #violations: string[];
  #stream!: Stream;
  #connection!: Connection;
  #isResuming = false;

  constructor(
    history: History,
    { user, kind, entries }: Transcript,
    connections: Connection[],
    violations: string[],
  ) {
    this.#history = history;
    this.#user = user;
    this.#kind = kind;
    this.#entries = entries;
    this.#connections = connections;
    this.#violations = violations;
  }

  check(): void {
    for (const entry of this.#entries) {
      if (entry.type === "opened") this.#open(entry);
      if (entry.type === "received") this.#receive(entry.event, entry.at);
      if (entry.type === "receivedText") this.#receiveText(entry.line, entry.at);
    }
    const missing = this.#missing(this.#history.final);
    if (missing.length === 0 || this.#stream.isHoleTold) return;
    if (this.#entries.at(-1)?.type !== "closed") {
      this.#complain(`never received ${quoteAll(missing)}`);
    }
  }

  #open({ at, instance, since }: Entry & { type: "opened" }): void {
    this.#isResuming = since !== undefined;
    if (!this.#isResuming) {
      this.#stream = {
        ...{ user: this.#user, openedAt: at, got: new Set(), excused: new Set() },
        ...{ passed: new Set(), last: undefined, position: undefined },
        ...{ isStartKnown: false, isHoleTold: false, mayGoBack: true },
      };
    }
    this.#connection = {
      ...{ stream: this.#stream, instance, joinedAt: Infinity, received: [], holes: new Set() },
    };
    this.#connections.push(this.#connection);
  }

  // deno-lint-ignore no-explicit-any -- any event
  #receive(event: any, at: number): void {
    const stream = this.#stream;
    switch (event.type) {
      case "welcome":
        this.#connection.joinedAt = at;
        return this.#isResuming ? this.#handleResumed(event, at) : this.#handleJoined(event);
      case "resync":
        stream.position = event.last;
        stream.mayGoBack = true;
        if (event.gap) this.#noteHole("resync", at);
        return;
      case "message": {
        const { position } = stream;
        if (position !== undefined && event.prev !== position && this.#kind === "comparing") {
          this.#noteHole(`prev ${event.prev} after ${position}`, at);
        }
        stream.position = event.id;
        if (!parseText(event.text)) return;
        const appended = this.#history.appended
          .find(({ id, text }) => id === event.id && text === event.text);
        if (!appended) return this.#complain(`received ${event.id}, which was never in the log`);
        const { user, prev } = appended;
        if (event.user !== user || event.prev !== prev) {
          this.#complain(
            `received ${event.id} from ${event.user} after ${event.prev}, not as logged`,
          );
        }
        return this.#deliver(appended, at);
      }
    }
  }

  #receiveText(line: string, at: number): void {
    if (line === `Welcome ${this.#user}!`) this.#connection.joinedAt = at;
    if (line === MISSING_LINE) return this.#noteHole("line", at);
    const text = /^\S+: (real .*)$/.exec(line)?.[1];
    if (text === undefined) return;
    const all = this.#history.appended.filter((appended) => appended.text === text);
    if (all.length === 0) return this.#complain(`received "${short(text)}", never in the log`);
    if (!line.startsWith(`${all[0].user}: `)) {
      this.#complain(`received "${short(line)}", wrong name`);
    }
    // If it was lost and appended again, the line does not say which one this is.
    const { got, isHoleTold } = this.#stream;
    const [best] = all.filter((appended) => !got.has(appended) && appended.at <= at + LAG_MS)
      .map((appended) => ({
        appended,
        missing: isHoleTold ? 0 : this.#missingBefore(appended).length,
      }))
      .sort((one, other) =>
        one.missing - other.missing || other.appended.index - one.appended.index
      );
    this.#deliver(best?.appended ?? all[0], at);
  }

  #handleJoined({ last }: { last: string }): void {
    const stream = this.#stream;
    stream.position = last;
    const newest = this.#history.appended.findLast(({ id }) => id === last);
    if (newest) { for (const appended of [...newest.before, newest]) stream.excused.add(appended); }
    // It may be a forged message, of which only the log knows where it is: nowhere.
    stream.isStartKnown = newest !== undefined || last === "0-0";
  }

  #handleResumed({ recovered }: { recovered: boolean }, at: number): void {
    if (recovered) return;
    const stream = this.#stream;
    stream.mayGoBack = true;
    const isForged = stream.position !== "0-0" &&
      !this.#history.appended.some(({ id }) => id === stream.position);
    // Only the log knows where a forged message is, and it does not.
    if (isForged) stream.isHoleTold = true;
    else this.#noteHole("recovered: false", at);
    stream.position = undefined;
  }

  #noteHole(how: string, at: number): void {
    if (at < this.#history.lossAt) {
      this.#complain(`was told of a hole where nothing is missing: ${how}`);
    }
    this.#stream.isHoleTold = this.#stream.mayGoBack = true;
  }

  #deliver(appended: Appended, at: number): void {
    const stream = this.#stream;
    const { got, passed, last } = stream;
    const words = `"${short(appended.text)}" (${appended.id})`;
    const wasLost = this.#history.lost.has(appended);
    if (got.has(appended)) return wasLost ? undefined : this.#complain(`received ${words} twice`);
    if (passed.has(appended) && !wasLost) this.#complain(`received ${words} too late`);
    const mayGoBack = stream.mayGoBack || this.#kind === "text";
    if (last && !isHigher(appended.id, last.id) && !mayGoBack) {
      this.#complain(`received ${words} after ${last.id}, without a resync`);
    }
    if (!stream.isStartKnown) {
      stream.isStartKnown = true;
      for (const other of this.#history.appended.slice(0, appended.index)) {
        stream.excused.add(other);
      }
    }
    const missing = this.#missingBefore(appended);
    if (stream.isHoleTold) {
      for (const other of missing) stream.excused.add(other);
      this.#connection.holes.add(this.#connection.received.length);
    } else if (missing.length > 0) {
      this.#complain(`received ${words} without ${quoteAll(missing)}, and was told of no hole`);
      for (const other of missing) stream.excused.add(other);
    }
    got.add(appended);
    for (const other of appended.before) passed.add(other);
    this.#connection.received.push({ appended, at });
    stream.last = appended;
    stream.isHoleTold = stream.mayGoBack = false;
  }

  /** What the client should have received, or been told of, before a message. */
  #missingBefore({ before, index, prev }: Appended): Appended[] {
    const { isStartKnown, last } = this.#stream;
    if (!isStartKnown) return [];
    // What Redis may have lost between the client's last message and one with another `prev`. That
    // may be one that the user of the text protocol sent, or a forged one that was delivered.
    const previous = this.#history.appended.find(({ id }) => id === prev);
    const isOwn = this.#kind === "text" && previous?.user === this.#user;
    const isForged = !previous && prev !== "0-0";
    const isNext = last?.id === prev || isOwn || isForged;
    const lost = last && !isNext ? this.#history.appended.slice(last.index + 1, index) : [];
    return this.#missing([...before, ...lost]);
  }

  /** Which of some messages the client was promised, and has neither received nor been told of. */
  #missing(promised: readonly Appended[]): Appended[] {
    const { got, excused, openedAt } = this.#stream;
    return [...new Set(promised)].filter((appended) =>
      !got.has(appended) && !excused.has(appended) && appended.at > openedAt &&
      !(this.#kind === "text" && appended.user === this.#user)
    );
  }

  #complain(words: string): void {
    this.#violations.push(`${this.#user} ${words}`);
  }
}

/**
 * Compares what two clients received on the same instance: between two messages that both have, one
 * must have everything that the other has received since the one joined.
 */
function compare(one: Connection, other: Connection, violations: string[]): void {
  const place = new Map(other.received.map(({ appended }, i) => [appended, i]));
  const { got, user, excused } = one.stream;
  let from: number | undefined;
  let wasToldOfHole = false;
  for (const [i, { appended }] of one.received.entries()) {
    wasToldOfHole ||= one.holes.has(i);
    const to = place.get(appended);
    if (to === undefined) continue;
    if (from !== undefined && !wasToldOfHole) {
      const missing = other.received.slice(from + 1, to)
        .filter(({ at }) => at > one.joinedAt).map(({ appended }) => appended)
        .filter((appended) =>
          !got.has(appended) && !excused.has(appended) && appended.user !== user
        );
      if (missing.length > 0) {
        violations.push(
          `${user} received ${appended.id} without ${quoteAll(missing)}, which its instance heard`,
        );
      }
    }
    from = to;
    wasToldOfHole = false;
  }
}

function isHigher(one: string, other: string): boolean {
  const [[time, sequence], [otherTime, otherSequence]] = [one, other]
    .map((id) => id.split("-").map(BigInt));
  return time > otherTime || time === otherTime && sequence > otherSequence;
}

function quoteAll(messages: readonly Appended[]): string {
  return quote(messages.map(({ id, text }) => `"${short(text)}" (${id})`));
}

function quote(words: readonly string[]): string {
  const more = words.length - MAX_QUOTED;
  return words.slice(0, MAX_QUOTED).join(", ") + (more > 0 ? ` and ${more} more` : "");
}

function short(text: string): string {
  return text.slice(0, 40);
}
