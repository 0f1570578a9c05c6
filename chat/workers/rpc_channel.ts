/** What both ends of a worker have: the `Worker` outside, `self` within. */
interface End {
  onmessage: ((event: MessageEvent) => unknown) | null;
  postMessage(message: Sent): void;
}

type Sent =
  | { readonly id: number; readonly question: unknown }
  | { readonly id: number; readonly answer: unknown }
  | { readonly id: number; readonly error: { readonly name: string; readonly message: string } };

/** A line between a worker and the one who started it, on which both ask and both answer. */
export class RpcChannel<Question> {
  readonly #end: End;
  readonly #asked = new Map<number, PromiseWithResolvers<unknown>>();
  #lastId = 0;

  /**
   * @param end this end of it
   * @param answer answers what is asked from the other end
   */
  constructor(end: End, answer: (question: never) => Promise<unknown>) {
    this.#end = end;
    end.onmessage = async ({ data }: MessageEvent<Sent>) => {
      if ("question" in data) {
        end.postMessage(await reply(data.id, () => answer(data.question as never)));
        return;
      }
      const asked = this.#asked.get(data.id);
      this.#asked.delete(data.id);
      if ("answer" in data) asked?.resolve(data.answer);
      else asked?.reject(Object.assign(new Error(data.error.message), { name: data.error.name }));
    };
  }

  /**
   * Asks the other end.
   *
   * @returns its answer
   * @throws an error with the name and the message of what was thrown there
   */
  async call(question: Question): Promise<unknown> {
    const id = ++this.#lastId;
    const asked = Promise.withResolvers<unknown>();
    this.#asked.set(id, asked);
    this.#end.postMessage({ id, question });
    return await asked.promise;
  }
}

async function reply(id: number, answer: () => Promise<unknown>): Promise<Sent> {
  try {
    return { id, answer: await answer() };
  } catch (error) {
    const { name, message } = error as Error;
    return { id, error: { name, message } };
  }
}
