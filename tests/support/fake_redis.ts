/** A server that speaks as much of Redis's protocol as an instance needs to learn the version. */
export interface FakeRedis extends Disposable {
  readonly port: number;
}

/** Starts a server that says it is a Redis of some version. It knows no `HELLO`, like Redis 5. */
export function startFakeRedis(version: string): FakeRedis {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const info = `redis_version:${version}\r\ncluster_enabled:0\r\nmaxmemory_policy:noeviction\r\n`;
  function reply(command: string): string {
    switch (command.toUpperCase()) {
      case "HELLO":
        return "-ERR unknown command `HELLO`, with args beginning with: `3`, \r\n";
      case "INFO":
        return `$${info.length}\r\n${info}\r\n`;
      default:
        return "+OK\r\n";
    }
  }
  async function serve(connection: Deno.Conn): Promise<void> {
    const text = new TextDecoderStream();
    connection.readable.pipeTo(text.writable).catch(() => {});
    const writer = connection.writable.getWriter();
    for await (const chunk of text.readable) {
      const commands = [...chunk.matchAll(/\*\d+\r\n\$\d+\r\n(\w+)/g)].map(([, name]) => name);
      await writer.write(new TextEncoder().encode(commands.map(reply).join("")));
    }
  }
  (async () => {
    for await (const connection of listener) serve(connection).catch(() => {});
  })();
  return {
    port: (listener.addr as Deno.NetAddr).port,
    [Symbol.dispose]: () => listener.close(),
  };
}
