/** A way to Redis that a test can cut, with or without a word. */
export interface Proxy extends AsyncDisposable {
  readonly port: number;
  /** Carries nothing more on the connections that are there now and said this in their first words; ends none. */
  silence(said: string): number;
  /** Ends every connection, and takes no new one until {@linkcode Proxy.open}. */
  cut(): void;
  open(): void;
}

interface Carried {
  readonly ends: Deno.TcpConn[];
  first: string;
  isSilent: boolean;
}

/** Starts a proxy on a free port of 127.0.0.1. */
export function startProxy(target: number): Proxy {
  const carried = new Set<Carried>();
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  let isCut = false;

  async function pump(from: Deno.TcpConn, to: Deno.TcpConn, one: Carried): Promise<void> {
    const buffer = new Uint8Array(65_536);
    try {
      for (let count; (count = await from.read(buffer)) !== null;) {
        const bytes = buffer.subarray(0, count);
        if (one.first.length < 500) one.first += new TextDecoder().decode(bytes);
        if (one.isSilent) continue;
        for (let sent = 0; sent < count;) sent += await to.write(bytes.subarray(sent));
      }
    } catch {
      // Either end is gone, and with it the other.
    }
    end(one);
  }

  function end(one: Carried): void {
    if (!carried.delete(one)) return;
    for (const connection of one.ends) connection.close();
  }

  async function carry(near: Deno.TcpConn): Promise<void> {
    if (isCut) return near.close();
    const far = await Deno.connect({ hostname: "127.0.0.1", port: target }).catch(() => null);
    if (!far) return near.close();
    const one = { ends: [near, far], first: "", isSilent: false };
    carried.add(one);
    await Promise.all([pump(near, far, one), pump(far, near, one)]);
  }

  const done = (async () => {
    for await (const near of listener) carry(near);
  })();

  return {
    port: listener.addr.port,
    silence(said) {
      const ones = [...carried].filter((one) => one.first.includes(said));
      for (const one of ones) one.isSilent = true;
      return ones.length;
    },
    cut() {
      isCut = true;
      carried.forEach(end);
    },
    open() {
      isCut = false;
    },
    async [Symbol.asyncDispose]() {
      listener.close();
      carried.forEach(end);
      await done;
    },
  };
}
