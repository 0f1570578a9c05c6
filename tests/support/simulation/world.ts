import { readConfig } from "../../../chat/config/config.ts";
import { type Instance, startInstance } from "../../../chat/instance.ts";
import { type Proxy, startProxy } from "../proxy.ts";
import { PASSWORD, startRedis, type TestRedis } from "../redis.ts";
import { sleep } from "../wait.ts";
import damageScript from "./damage.lua" with { type: "text" };
import { DAMAGE_CHANNEL, Observer, ROOM_CHANNEL, type Watched } from "./observer.ts";
import {
  type Action,
  type Damage,
  type Forgery,
  INSTANCES,
  KINDS,
  losesMessages,
  type Schedule,
} from "./schedule.ts";
import { MAX_MESSAGE_BYTES, SimClient } from "./sim_client.ts";
import type { History } from "./transcript.ts";

const LOG = "{chat}:log";
const COPY = "{chat}:copy";
const REFS = "{chat}:refs:*";

/** The user under whose name the instances connect. The simulation takes rights from it. */
const USER = "chat";

/**
 * What a simulation runs in: two instances in this process, one or two real Redis, and a proxy in
 * front of whatever a fault may interrupt.
 */
export class World {
  readonly clients: SimClient[] = [];
  readonly #observer = new Observer();
  readonly #schedule: Schedule;
  readonly #stack = new AsyncDisposableStack();
  readonly #redisProxies: Proxy[] = [];
  readonly #instances: Instance[] = [];
  readonly #clientProxies: Proxy[] = [];
  /** Faults that last, and end by themselves. */
  readonly #lasting = new Set<Promise<void>>();
  #primary!: TestRedis;
  #replica: TestRedis | undefined;
  #log!: Watched;
  #replicaLog: Watched | undefined;
  #lossAt = Infinity;

  private constructor(schedule: Schedule) {
    this.#schedule = schedule;
  }

  /** Starts everything, with every client in the room. */
  static async start(schedule: Schedule): Promise<World> {
    const world = new World(schedule);
    try {
      await world.#start();
      return world;
    } catch (error) {
      await world.#stack.disposeAsync();
      throw error;
    }
  }

  async #start(): Promise<void> {
    const { seed, historyLimit, steps } = this.#schedule;
    this.#stack.defer(() => this.#observer.close());
    const failsOver = steps.some(({ action }) => action.type === "fail over");
    const servers = await Promise.all(
      Array.from({ length: failsOver ? 2 : 1 }, () => this.#startRedis()),
    );
    for (const server of servers) {
      await server.setUser(USER, "on", `>${PASSWORD}`, "~*", "&*", "+@all");
    }
    [this.#primary, this.#replica] = servers;
    if (historyLimit < 100) this.#lossAt = performance.now();
    const logs = await Promise.all(servers.map(({ port }) => this.#observer.watch(port)));
    [this.#log, this.#replicaLog] = logs;
    if (this.#replica) await this.#replicate(this.#replica);
    for (let i = 0; i < INSTANCES; i++) {
      const proxy = await startProxy(this.#primary.port);
      this.#stack.use(proxy);
      this.#redisProxies.push(proxy);
      const instance = await startInstance(readConfig({
        ...{ HOST: "127.0.0.1", PORT: "0", REDIS_HOST: `127.0.0.1:${proxy.port}` },
        ...{ REDIS_USERNAME: USER, REDIS_PASSWORD: PASSWORD, LIMITS: "off" },
        ...{ HISTORY_LIMIT: `${historyLimit}`, MAX_MESSAGE_BYTES: `${MAX_MESSAGE_BYTES}` },
      }));
      this.#stack.defer(() => instance.close());
      this.#instances.push(instance);
    }
    for (const [i, kind] of KINDS.entries()) {
      const proxy = await startProxy(0);
      this.#stack.use(proxy);
      this.#clientProxies.push(proxy);
      const client = new SimClient({
        ...{ user: `${kind}-${i}`, kind, port: proxy.port },
        ...{ instance: i % INSTANCES, seed: seed * 100 + i },
        pointTo: (instance) => proxy.redirect(this.#instances[instance].port),
      });
      this.#stack.defer(() => client.stop());
      this.clients.push(client);
    }
  }

  /** Carries out one step. A fault that lasts is not awaited. */
  async act(action: Action): Promise<void> {
    if (losesMessages(action)) this.#lossAt = Math.min(this.#lossAt, performance.now());
    switch (action.type) {
      case "send":
        this.clients[action.client].send(action.messages);
        return;
      case "reset client":
        this.clients[action.client].move(action.instance);
        return this.#clientProxies[action.client].disconnect("by reset");
      case "leave":
        this.clients[action.client].move(action.instance, action.resumes);
        return this.clients[action.client].leave();
      case "reset":
        return this.#redisProxies[action.instance].disconnect("by reset", action.connection);
      case "lose reply": {
        const proxy = this.#redisProxies[action.instance];
        proxy.loseReply("real ");
        return this.#last(action.forMs, () => {
          proxy.loseReply("");
          proxy.disconnect("by reset", "chat-commands");
        });
      }
      case "block": {
        const proxy = this.#redisProxies[action.instance];
        proxy.block();
        return this.#last(action.forMs, () => proxy.unblock());
      }
      case "refuse":
        return await this.#refuse(action.by, action.forMs);
      case "flush scripts":
        await this.#primary.command("SCRIPT", "FLUSH");
        return;
      case "damage":
        return await this.#damage(action.how, action.n, action.losesRefs);
      case "forge":
        return await this.#forge(action.what, action.isMarked);
      case "cut replication":
        await this.#replica!.command("REPLICAOF", "NO", "ONE");
        this.#lossAt = Math.min(this.#lossAt, performance.now());
        return;
      case "fail over":
        return await this.#failOver(action.first, action.laterMs);
      default:
        action satisfies never;
    }
  }

  /**
   * Waits until every fault is over, every client is in the room and has an answer to everything,
   * and what is published last has been received. Each of these may take some time.
   *
   * @returns what has not happened in time; empty if all is well
   */
  async settle(timeoutMs: number): Promise<string[]> {
    await Promise.all(this.#lasting);
    const hold = async (condition: () => boolean | Promise<boolean>) => {
      const deadline = performance.now() + timeoutMs;
      while (performance.now() < deadline) {
        if (await condition()) return true;
        await sleep(10);
      }
      return false;
    };
    const problems: string[] = [];
    for (const [i, instance] of this.#instances.entries()) {
      let cause = "";
      const isReady = () =>
        instance.ready().then(() => true, (error) => (cause = error.message, false));
      if (!await hold(isReady)) problems.push(`instance ${i} is not ready at the end: ${cause}`);
    }
    if (!await hold(() => this.clients.every(({ isSettled }) => isSettled))) {
      for (const { isSettled, isJoined, transcript } of this.clients) {
        if (isSettled) continue;
        const what = isJoined ? "has no answer to what it sent" : "is not in the room";
        problems.push(`${transcript.user} ${what} at the end`);
      }
    }
    for (const sender of this.clients.slice(0, INSTANCES)) {
      const [text] = sender.send([{ way: "ref", isRepeated: true, size: "short" }]);
      await hold(() => sender.isSettled);
      await hold(() => this.clients.every((client) => client.hasReceived(text)));
      const deaf = this.clients.filter((client) => !client.hasReceived(text));
      for (const { transcript } of deaf) {
        problems.push(`${transcript.user} has not received the end, "${text}"`);
      }
      if (deaf.length > 0) break;
    }
    return problems;
  }

  /** What happened in Redis, with the log as it is now. */
  async history(): Promise<History> {
    const looked = this.#log();
    await this.#damage("look");
    return {
      ...{ appended: this.#observer.appended, lost: this.#observer.lost, ...await looked },
      ...{ lossAt: this.#lossAt, violations: this.#observer.violations },
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#lasting);
    await Promise.all(this.clients.map((client) => client.stop()));
    await this.#stack.disposeAsync();
  }

  #last(forMs: number, end: () => Promise<unknown> | void): void {
    const lasting: Promise<void> = sleep(forMs).then(end)
      .then(() => void this.#lasting.delete(lasting));
    this.#lasting.add(lasting);
  }

  async #refuse(by: "memory" | "rights", forMs: number): Promise<void> {
    const redis = this.#primary;
    if (by === "memory") {
      await redis.command("CONFIG", "SET", "maxmemory", "1");
      return this.#last(forMs, () => redis.command("CONFIG", "SET", "maxmemory", "0"));
    }
    await redis.setUser(USER, "-xadd");
    this.#last(forMs, () => redis.setUser(USER, "+xadd"));
  }

  async #forge(what: Forgery, isMarked: boolean): Promise<void> {
    const redis = this.#primary;
    const entries = await redis.command("XREVRANGE", LOG, "+", "-", "COUNT", "3") as [
      string,
      string[],
    ][];
    const newest = entries[0]?.[0] ?? "0-0";
    const time = Number(newest.split("-")[0]);
    const user = KINDS[0] + "-0";
    const fields = { type: "message", id: `${time + 1}-777`, prev: newest, user, text: "forged" };
    const payloads: Record<Forgery, () => string | undefined> = {
      next: () => JSON.stringify(fields),
      "far prev": () =>
        JSON.stringify({ ...fields, id: "99999999999999-1", prev: "99999999999999-0" }),
      "far id": () => JSON.stringify({ ...fields, id: "99999999999999-1" }),
      lower: () => JSON.stringify({ ...fields, id: `${Math.max(0, time - 5)}-7`, prev: "0-0" }),
      repeated() {
        const [id, [, prev, , rest]] = entries.at(-1) ?? ["", []];
        return rest && /"text":"real /.test(rest)
          ? `{"type":"message","id":"${id}","prev":"${prev}",${rest}`
          : undefined;
      },
      garbage: () => '{"type":"message","id":7,"text":"forged',
    };
    const payload = payloads[what]();
    if (payload === undefined) return;
    // Nobody can tell it from a message that Redis has lost.
    const isFirst = this.#observer.appended.length === 0;
    const seemsNext = what === "next" || what === "far id" || isFirst;
    if (isMarked && seemsNext) this.#lossAt = Math.min(this.#lossAt, performance.now());
    await redis.command("PUBLISH", ROOM_CHANNEL, (isMarked ? "\x1e" : "") + payload);
  }

  async #damage(how: Damage | "look", n = 0, losesRefs = false): Promise<void> {
    await this.#primary.command(
      ...["EVAL", damageScript, "2", LOG, COPY, how, `${n}`, DAMAGE_CHANNEL],
      losesRefs ? REFS : "",
    ).catch((error) => {
      // Without memory, Redis refuses some of it.
      if (!/OOM|memory/.test(error.message)) throw error;
    });
  }

  async #startRedis(): Promise<TestRedis> {
    // A replica writes what it receives first to a file.
    const folder = await Deno.makeTempDir();
    this.#stack.defer(() => Deno.remove(folder, { recursive: true }));
    return this.#stack.use(await startRedis({ folder }));
  }

  async #replicate(replica: TestRedis): Promise<void> {
    await this.#primary.command("CONFIG", "SET", "repl-diskless-sync-delay", "0");
    await replica.command("CONFIG", "SET", "masterauth", PASSWORD);
    await replica.command("REPLICAOF", "127.0.0.1", `${this.#primary.port}`);
    while (!/master_link_status:up/.test(await replica.command("INFO", "replication") as string)) {
      await sleep(10);
    }
  }

  /** The instances find the former replica, one after the other, under the same address. */
  async #failOver(first: number, laterMs: number): Promise<void> {
    const port = this.#replica!.port;
    const move = (i: number) => {
      this.#redisProxies[i].redirect(port);
      this.#redisProxies[i].disconnect("by reset");
    };
    move(first);
    await sleep(laterMs);
    for (let i = 0; i < INSTANCES; i++) if (i !== first) move(i);
    this.#primary = this.#replica!;
    this.#log = this.#replicaLog!;
    // Observers of both hear everything up to here.
    await this.#primary.command("PING");
  }
}
