import { getLogger } from "@logtape/logtape";
import type { Config } from "../config/config.ts";
import { loadPage } from "../http/page.ts";
import type { Instance } from "../instance.ts";
import { StoreUnavailable } from "../store/store.ts";
import { RpcChannel } from "./rpc_channel.ts";
import type { MainRequest, WorkerRequest } from "./worker.ts";

const logger = getLogger(["chat", "workers"]);

/**
 * Starts `config.workers` instances that share one port, each in a thread of its own. The kernel
 * gives each new connection to one of them. In Redis each worker counts as an instance; health,
 * readiness and shutdown treat them as one.
 *
 * @param config all settings
 * @throws {StoreUnavailable} if the store cannot be used
 * @throws an error that names host and port if the server cannot listen there
 */
export async function startWorkers(config: Config): Promise<Instance> {
  const port = findPort(config);
  const channels: RpcChannel<WorkerRequest>[] = [];
  const callAll = async (request: WorkerRequest) => {
    await Promise.all(channels.map((channel) => channel.call(request)));
  };
  const ready = () => callAll({ method: "ready" });
  for (let i = 0; i < config.workers; i++) {
    const worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
    worker.onerror = ({ message }) => {
      logger.fatal`A worker failed, so the process exits: ${message}`;
      Deno.exit(1);
    };
    const handle = async ({ method }: MainRequest) => {
      switch (method) {
        case "allReady":
          return await ready();
        case "page":
          return await loadPage();
      }
    };
    channels.push(new RpcChannel<WorkerRequest>(worker, handle));
  }
  await callAll({ method: "start", config: { ...config, port } }).catch((error) => {
    throw error.name === "StoreUnavailable" ? new StoreUnavailable(error.message) : error;
  });
  return { port, ready, close: () => callAll({ method: "close" }) };
}

/**
 * Finds the port for all workers. It is bound once without sharing, because only that shows whether
 * another process has it.
 */
function findPort({ host, port }: Config): number {
  try {
    using listener = Deno.listen({ hostname: host, port });
    return listener.addr.port;
  } catch (error) {
    throw new Error(`at HOST ${host} and PORT ${port}: ${(error as Error).message}`);
  }
}
