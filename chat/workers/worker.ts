/**
 * A worker: one instance among several of this process that share a port. See `start.ts`, which starts it.
 *
 * @module
 */
import type { Config } from "../config/config.ts";
import { type Instance, startInstance } from "../instance.ts";
import { RpcChannel } from "./rpc_channel.ts";

/** What a worker is asked. */
export type ToWorker =
  | { readonly ask: "start"; readonly config: Config }
  | { readonly ask: "ready" }
  | { readonly ask: "stop" };

/** What a worker asks: whether all of them are ready. */
export type FromWorker = { readonly ask: "all ready" };

let instance: Instance | undefined;

const line = new RpcChannel<FromWorker>(self as never, async (question: ToWorker) => {
  switch (question.ask) {
    case "start":
      instance = await startInstance(question.config, async () => {
        await line.call({ ask: "all ready" });
      });
      return;
    case "ready":
      return await instance?.ready();
    case "stop":
      return await instance?.stop();
  }
});
