import {
  type Config,
  ConfigError,
  openMemoryStore,
  openRedisStore,
  readConfig,
  startServer,
  type Store,
  StoreUnavailable,
} from "./chat/mod.ts";

/** An orderly stop takes no longer than this, in milliseconds. */
const STOP_WITHIN = 9_000;

async function openStore({ redis }: Config): Promise<Store> {
  if (redis) return await openRedisStore(redis);
  console.log(
    "This instance is alone: its chat is in memory. Set REDIS_HOST=host:port to share it with other instances.",
  );
  return openMemoryStore();
}

async function start(): Promise<void> {
  const config = readConfig(Deno.env.toObject());
  const store = await openStore(config);
  const server = await startServer(config, store);
  const where = config.redis ? `, Redis at ${config.redis.host}:${config.redis.port}` : "";
  console.log(`Listening on http://${urlHost(config.host)}:${server.port}${where}`);

  let stopping = false;
  async function stop(): Promise<void> {
    if (stopping) Deno.exit(130);
    stopping = true;
    console.log("Stopping; a second signal ends at once");
    setTimeout(() => {
      console.error(`Not done after ${STOP_WITHIN / 1000} s, ending all the same`);
      Deno.exit(0);
    }, STOP_WITHIN);
    await server.stop();
    await store.close();
    // Sockets of peers that do not read would keep the process for ever.
    Deno.exit(0);
  }
  Deno.addSignalListener("SIGTERM", stop);
  Deno.addSignalListener("SIGINT", stop);
}

function urlHost(host: string): string {
  return host.includes(":") ? `[${host}]` : host;
}

try {
  await start();
} catch (error) {
  if (error instanceof ConfigError) error.problems.forEach((problem) => console.error(problem));
  else if (error instanceof StoreUnavailable) console.error(error.message);
  else console.error(`cannot start: ${(error as Error).message}`);
  Deno.exit(1);
}
