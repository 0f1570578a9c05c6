import { connect, createServer, type Server, type Socket } from "node:net";

/** A way to a server that a test can cut, with or without a word. */
export interface Proxy extends AsyncDisposable {
  readonly port: number;
  /** Carries nothing more on the connections that are there now and said this in their first words; ends none. */
  silence(said: string): number;
  /** Ends every connection, in order or by TCP reset. */
  drop(how: "in order" | "by reset"): void;
  /** Ends every connection, and takes no new one until {@linkcode Proxy.open}. */
  cut(): void;
  open(): void;
}

interface Carried {
  readonly ends: readonly [Socket, Socket];
  first: string;
  isSilent: boolean;
}

/** Starts a proxy on a free port of 127.0.0.1. */
export async function startProxy(target: number): Promise<Proxy> {
  const carried = new Set<Carried>();
  let isCut = false;

  function carry(near: Socket): void {
    if (isCut) return void near.destroy();
    const far = connect(target, "127.0.0.1");
    const one: Carried = { ends: [near, far], first: "", isSilent: false };
    carried.add(one);
    for (const [from, to] of [[near, far], [far, near]]) {
      from.on("data", (bytes) => {
        if (one.first.length < 500) one.first += bytes.toString("latin1");
        if (!one.isSilent && !to.write(bytes)) from.pause();
      });
      to.on("drain", () => from.resume());
      from.on("error", () => {});
      from.on("close", () => {
        carried.delete(one);
        to.destroySoon();
      });
    }
  }

  function drop(how: "in order" | "by reset"): void {
    for (const { ends } of carried) {
      for (const end of ends) how === "in order" ? end.destroySoon() : end.resetAndDestroy();
    }
  }

  const server: Server = createServer({ noDelay: true }, carry);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as { port: number }).port,
    silence(said) {
      const ones = [...carried].filter((one) => one.first.includes(said));
      for (const one of ones) one.isSilent = true;
      return ones.length;
    },
    drop,
    cut() {
      isCut = true;
      drop("in order");
    },
    open() {
      isCut = false;
    },
    async [Symbol.asyncDispose]() {
      const closed = new Promise((resolve) => server.close(resolve));
      drop("by reset");
      await closed;
    },
  };
}
