import { assert } from "@std/assert";
import type {
  CommandConnection,
  SubscriberConnection,
} from "../../chat/store/redis/connections.ts";
import { Subscriber } from "../../chat/store/redis/subscriber.ts";
import { StoreUnavailable } from "../../chat/store/store.ts";

Deno.test("a proof that began before commands could be sent is made again", async () => {
  let isReady = false;
  let hear = (_channel: string, _payload: string) => {};
  let resubscribe = () => Promise.resolve();
  const commands = {
    run(_command: string, channel: string, payload: string) {
      if (!isReady) return Promise.reject(new StoreUnavailable("the connection is down"));
      hear(channel, `${payload}`);
      return Promise.resolve(1);
    },
    reset() {},
  } as unknown as CommandConnection;
  const connection = {
    onMessage: (listener: typeof hear) => hear = listener,
    onClose() {},
    prepare: (step: typeof resubscribe) => resubscribe = step,
    subscribe: () => Promise.resolve(),
    unsubscribe: () => Promise.resolve(),
    reset() {},
  } as unknown as SubscriberConnection;
  const subscriber = new Subscriber(connection, commands, "hearing");

  // The connection that receives is back a moment before the one for commands.
  const prepared = resubscribe();
  const proved = subscriber.proveAnew();
  await Promise.resolve();
  isReady = true;
  await prepared;
  await proved;
  assert(subscriber.isHearing);
});
