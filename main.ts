import {
  ConfigError,
  readConfig,
  startInstance,
  startWorkers,
  StoreUnavailable,
} from "./chat/mod.ts";

/** `deno task` passes on the Ctrl-C that its child gets from the terminal too: within so many ms it is one key. */
const SAME_KEY_WITHIN = 100;

/** An orderly stop takes no longer than this, in milliseconds. */
const STOP_WITHIN = 9_000;

async function start(): Promise<void> {
  const config = readConfig(Deno.env.toObject());
  const instance = await (config.workers > 1 ? startWorkers(config) : startInstance(config));
  console.log(`Listening on http://${urlHost(config.host)}:${instance.port}`);
  console.log(
    config.redis
      ? `Sharing the chat through Redis at ${config.redis.host}:${config.redis.port}`
      : "This instance is alone: set REDIS_HOST=host:port to share its chat with others",
  );

  let stoppingSince: number | undefined;
  async function stop(): Promise<void> {
    if (stoppingSince !== undefined) Deno.exit(130);
    stoppingSince = performance.now();
    console.log("Stopping; a second signal ends at once");
    setTimeout(() => {
      console.error(`Not done after ${STOP_WITHIN / 1000} s, ending all the same`);
      Deno.exit(0);
    }, STOP_WITHIN);
    await instance.stop();
    // Sockets of peers that do not read would keep the process for ever.
    Deno.exit(0);
  }
  Deno.addSignalListener("SIGTERM", stop);
  Deno.addSignalListener("SIGINT", () => {
    const isSameKey = stoppingSince !== undefined &&
      performance.now() - stoppingSince < SAME_KEY_WITHIN;
    if (!isSameKey) stop();
  });
}

function urlHost(host: string): string {
  return host.includes(":") ? `[${host}]` : host;
}

try {
  await start();
} catch (error) {
  if (error instanceof ConfigError) error.problems.forEach((problem) => console.error(problem));
  else if (error instanceof StoreUnavailable) console.error(error.message);
  else console.error(`cannot start ${(error as Error).message}`);
  Deno.exit(1);
}
