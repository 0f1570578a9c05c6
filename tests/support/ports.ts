/** How many ports a test file reserves. */
const BLOCK_SIZE = 100;

/** The blocks lie below the ports that the kernel hands out, which begin at 32768 on Linux. */
const [FIRST_BLOCK, LAST_BLOCK] = [10_000, 32_600];

// Test files run in parallel. Each file reserves a block of ports: it listens on the first port of
// the block for as long as it runs, and its tests use the other ones. So nobody else takes a port
// between a test's choice and the start of a server on it, nor while that server restarts.
const reserved = reserveBlock();
let offset = 0;

function reserveBlock(): Deno.Listener {
  for (let port = FIRST_BLOCK; port <= LAST_BLOCK; port += BLOCK_SIZE) {
    const listener = tryListen(port);
    if (listener) return listener;
  }
  throw new Error("other processes have reserved all ports");
}

function tryListen(port: number): Deno.Listener | undefined {
  try {
    return Deno.listen({ hostname: "127.0.0.1", port });
  } catch (error) {
    if (!(error instanceof Deno.errors.AddrInUse)) throw error;
  }
}

/** Returns a port on which nothing listens, and which no other test file uses. */
export function freePort(): number {
  for (let tries = 1; tries < BLOCK_SIZE; tries++) {
    offset = offset % (BLOCK_SIZE - 1) + 1;
    const port = (reserved.addr as Deno.NetAddr).port + offset;
    const listener = tryListen(port);
    listener?.close();
    if (listener) return port;
  }
  throw new Error("all ports of this test file are in use");
}
