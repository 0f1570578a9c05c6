import type { Event, Notice } from "./events.ts";
import type { Member } from "./member.ts";
import type { Protocol } from "./protocol/protocol.ts";

/** What it costs to write a frame to one member, roughly, in milliseconds: most of it comes after the turn. */
const WRITE = 0.007;

/** What happened longer ago than about so many flushes says nothing of how busy the room is now. */
const FLUSHES_REMEMBERED = 10;

/** For what is on its way a flush waits no longer than so many times as long as it takes itself. */
const PATIENCE = 4;

/** After a pause in which nothing was joined so many flushes come without one. */
const FLUSHES_WITHOUT_PAUSE = 32;

/**
 * The members of a room who speak one protocol. Where it can join frames, everything that happens in one turn reaches
 * each of them as one frame, the same for all, because most of what a delivery costs is the write. A frame waits a moment
 * for what its room expects to happen next. A room that is so busy that sending is the load itself gets pauses as long as
 * the sending takes, in which more can be joined.
 */
export class Audience {
  readonly #protocol: Protocol;
  /** Nothing waits longer than this to be joined, in milliseconds. */
  readonly #maxFlushMs: number;
  readonly #members = new Set<Member>();
  /** What has happened and was not sent yet. */
  #frames: string[] = [];
  /** Who came since then, and how much had happened before. */
  readonly #newcomers = new Map<Member, number>();
  #isDue = false;
  /** Ends the wait for what the room expects. */
  #waiting: ReturnType<typeof setTimeout> | undefined;
  #isPaused = false;
  #pausesUntil = 0;
  #flushesWithoutPause = 0;
  #flushedAt = 0;
  /** How much has happened lately, and in how many milliseconds. */
  #lately = { frames: 0, time: 0 };

  /**
   * @param protocol how they speak
   * @param maxFlushMs the longest that something may wait to be joined, in milliseconds
   */
  constructor(protocol: Protocol, maxFlushMs: number) {
    this.#protocol = protocol;
    this.#maxFlushMs = maxFlushMs;
  }

  /** Takes someone in, who hears what happens from here on. */
  add(member: Member): void {
    this.#members.add(member);
    if (this.#frames.length > 0) this.#newcomers.set(member, this.#frames.length);
  }

  /** Takes someone out. */
  delete(member: Member): void {
    this.#members.delete(member);
    this.#newcomers.delete(member);
  }

  /**
   * Tells everyone of an event.
   *
   * @param event what has happened
   * @param line the same as one line of JSON
   * @param isMoreExpected whether more will happen soon, or {@linkcode Audience.expectNothing} be called
   * @param except who is not told, if there is someone
   */
  tell(event: Event | Notice, line: string, isMoreExpected: boolean, except?: Member): void {
    if (this.#members.size === 0) return;
    const frame = this.#protocol.event(event, line);
    if (!this.#protocol.joins) return this.#send(frame, except);
    if (except) {
      this.#flush();
      return this.#send(frame, except);
    }
    this.#frames.push(frame);
    if (this.#isDue) return;
    this.#isDue = true;
    const pause = this.#pausesUntil - performance.now();
    this.#isPaused = pause > 0;
    if (this.#isPaused) setTimeout(() => this.#flush(), Math.min(pause, this.#maxFlushMs));
    else if (isMoreExpected) this.#wait();
    else queueMicrotask(() => this.#flush());
  }

  #wait(): void {
    const patience = Math.min(PATIENCE * WRITE * this.#members.size, this.#maxFlushMs);
    this.#waiting = setTimeout(() => this.#flush(), patience);
  }

  /** What was expected has come, or never will. */
  expectNothing(): void {
    if (this.#waiting !== undefined) this.#flush();
  }

  #send(frame: string, except?: Member): void {
    for (const member of this.#members) {
      if (member !== except) member.hear(frame);
    }
  }

  #flush(): void {
    clearTimeout(this.#waiting);
    this.#waiting = undefined;
    this.#isDue = false;
    if (this.#frames.length === 0) return;
    const frames = this.#frames;
    this.#frames = [];
    const start = performance.now();
    const joined = this.#protocol.join(frames);
    for (const member of this.#members) {
      const before = this.#newcomers.get(member);
      const own = before === undefined ? joined : this.#protocol.join(frames.slice(before));
      for (const frame of own) member.hear(frame);
    }
    this.#newcomers.clear();
    this.#pausesUntil = start + this.#choosePause(start, frames.length);
    this.#isPaused = false;
  }

  /** A pause as long as the sending and once more, if something is likely to happen in it. */
  #choosePause(now: number, frames: number): number {
    const keep = 1 - 1 / FLUSHES_REMEMBERED;
    this.#lately.frames = keep * this.#lately.frames + frames;
    this.#lately.time = keep * this.#lately.time + now - this.#flushedAt;
    this.#flushedAt = now;
    // Where everyone waits for one message before the next is said, nothing happens in a pause.
    if (this.#isPaused && frames === 1) this.#flushesWithoutPause = FLUSHES_WITHOUT_PAUSE;
    if (this.#flushesWithoutPause-- > 0) return 0;
    const pause = 2 * WRITE * this.#members.size;
    return pause * this.#lately.frames > this.#lately.time ? pause : 0;
  }
}
