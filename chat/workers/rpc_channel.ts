/** What both ends of a worker have: the `Worker` outside of it, `self` inside. */
interface Endpoint {
  onmessage: ((event: MessageEvent) => unknown) | null;
  postMessage(message: Packet): void;
}

type Packet =
  | { readonly id: number; readonly request: unknown }
  | { readonly id: number; readonly response: unknown }
  | { readonly id: number; readonly error: { readonly name: string; readonly message: string } };

/** A channel between a worker and the thread that started it. Both ends send requests. */
export class RpcChannel<Request> {
  readonly #endpoint: Endpoint;
  readonly #pending = new Map<number, PromiseWithResolvers<unknown>>();
  #lastId = 0;

  /**
   * Makes one end of a channel.
   *
   * @param endpoint carries the packets to the other end
   * @param handle returns the response to a request from the other end
   */
  constructor(endpoint: Endpoint, handle: (request: never) => Promise<unknown>) {
    this.#endpoint = endpoint;
    endpoint.onmessage = async ({ data }: MessageEvent<Packet>) => {
      if ("request" in data) {
        endpoint.postMessage(await respond(data.id, () => handle(data.request as never)));
        return;
      }
      const pending = this.#pending.get(data.id);
      this.#pending.delete(data.id);
      if ("response" in data) pending?.resolve(data.response);
      else pending?.reject(Object.assign(new Error(data.error.message), { name: data.error.name }));
    };
  }

  /**
   * Sends a request to the other end.
   *
   * @returns the response
   * @throws an error with the name and the message of the one that was thrown at the other end
   */
  async call(request: Request): Promise<unknown> {
    const id = ++this.#lastId;
    const pending = Promise.withResolvers<unknown>();
    this.#pending.set(id, pending);
    this.#endpoint.postMessage({ id, request });
    return await pending.promise;
  }
}

async function respond(id: number, handle: () => Promise<unknown>): Promise<Packet> {
  try {
    return { id, response: await handle() };
  } catch (error) {
    const { name, message } = error as Error;
    return { id, error: { name, message } };
  }
}
