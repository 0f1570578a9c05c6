/**
 * Runs in a worker thread, which `start_workers.ts` starts: one of the instances that share a port.
 *
 * @module
 */
import type { Config } from "../config/config.ts";
import { configureLogging } from "../config/logging.ts";
import type { Page } from "../http/make_page.ts";
import { getPageFrom } from "../http/page.ts";
import { type Instance, makeInstanceId, startInstance } from "../instance.ts";
import { RpcChannel } from "./rpc_channel.ts";
import { surviveUnexpectedErrors } from "./unexpected_errors.ts";

/** A request from the main thread to a worker. */
export type WorkerRequest =
  | { readonly method: "start"; readonly config: Config }
  | { readonly method: "ready" }
  | { readonly method: "close" };

/** A request from a worker to the main thread. */
export type MainRequest =
  /** Succeeds if all workers are ready. */
  | { readonly method: "allReady" }
  /** Returns the page, which is made once for all workers. */
  | { readonly method: "page" };

let instance: Instance | undefined;

const channel = new RpcChannel<MainRequest>(self as never, async (request: WorkerRequest) => {
  switch (request.method) {
    case "start": {
      const id = makeInstanceId();
      configureLogging(request.config, id);
      surviveUnexpectedErrors();
      getPageFrom(async () => await channel.call({ method: "page" }) as Page);
      instance = await startInstance(request.config, id, async () => {
        await channel.call({ method: "allReady" });
      });
      return;
    }
    case "ready":
      return await instance?.ready();
    case "close":
      return await instance?.close();
  }
});
