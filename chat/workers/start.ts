import type { Config } from "../config/config.ts";
import type { Instance } from "../instance.ts";
import { StoreUnavailable } from "../store/store.ts";
import { RpcChannel } from "./rpc_channel.ts";
import type { FromWorker, ToWorker } from "./worker.ts";

/**
 * Starts as many instances as `config.workers` says, each in a thread of its own, on one port: the kernel hands each new
 * connection to one of them. To Redis each is an instance like any other; to whoever asks for health, readiness or an
 * end, they are one.
 *
 * @param config everything that is set
 * @throws {StoreUnavailable} if the store cannot be used, and an error that names host and port if it cannot listen there
 */
export async function startWorkers(config: Config): Promise<Instance> {
  const port = findPort(config);
  const lines: RpcChannel<ToWorker>[] = [];
  const askAll = async (question: ToWorker) => {
    await Promise.all(lines.map((line) => line.call(question)));
  };
  const ready = () => askAll({ ask: "ready" });
  for (let i = 0; i < config.workers; i++) {
    const worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
    worker.onerror = ({ message }) => {
      console.error(`a worker has died, and with it this process: ${message}`);
      Deno.exit(1);
    };
    lines.push(new RpcChannel<ToWorker>(worker, (_: FromWorker) => ready()));
  }
  await askAll({ ask: "start", config: { ...config, port } }).catch((error) => {
    throw error.name === "StoreUnavailable" ? new StoreUnavailable(error.message) : error;
  });
  return { port, ready, stop: () => askAll({ ask: "stop" }) };
}

/** The port that all will share. That nobody else has it shows only while it is not shared. */
function findPort({ host, port }: Config): number {
  try {
    using listener = Deno.listen({ hostname: host, port });
    return listener.addr.port;
  } catch (error) {
    throw new Error(`at HOST ${host} and PORT ${port}: ${(error as Error).message}`);
  }
}
