/**
 * The functions of the C library that the load generator uses: sockets and epoll, called
 * synchronously. With `Deno.connect` every read costs a promise, which is several times the cost of
 * the read itself. The load generator, not the server, would then be the bottleneck. Works on
 * Linux, on x86-64 and ARM64.
 *
 * @module
 */
const libc = Deno.dlopen("libc.so.6", {
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
  connect: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  bind: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  listen: { parameters: ["i32", "i32"], result: "i32" },
  accept: { parameters: ["i32", "pointer", "pointer"], result: "i32" },
  setsockopt: { parameters: ["i32", "i32", "i32", "buffer", "u32"], result: "i32" },
  // Both return a ssize_t. Its lower half is enough for the sizes used here, and needs no BigInt.
  send: { parameters: ["i32", "buffer", "usize", "i32"], result: "i32" },
  recv: { parameters: ["i32", "buffer", "usize", "i32"], result: "i32" },
  close: { parameters: ["i32"], result: "i32" },
  epoll_create1: { parameters: ["i32"], result: "i32" },
  epoll_ctl: { parameters: ["i32", "i32", "i32", "buffer"], result: "i32" },
  epoll_wait: { parameters: ["i32", "buffer", "i32", "i32"], result: "i32" },
  sched_yield: { parameters: [], result: "i32" },
}).symbols;

const AF_INET = 2, SOCK_STREAM = 1, SOCK_CLOEXEC = 0x80000;
const SOL_SOCKET = 1, SO_REUSEADDR = 2, SO_RCVBUF = 8, SO_LINGER = 13, SO_SNDTIMEO = 21;
const IPPROTO_TCP = 6, TCP_NODELAY = 1;
const MSG_NOSIGNAL = 0x4000;
const EPOLL_CTL_ADD = 1, EPOLLIN = 1;

/**
 * A connect or a send fails after this time, so that a server that hangs does not hang the bench.
 */
const SEND_TIMEOUT_SECONDS = 10n;

function checked(result: number, what: string): number {
  if (result < 0) throw new Error(`${what} failed`);
  return result;
}

function loopback(port: number): Uint8Array<ArrayBuffer> {
  const address = new Uint8Array(16);
  new DataView(address.buffer).setUint16(0, AF_INET, true);
  address.set([port >> 8, port & 0xff, 127, 0, 0, 1], 2);
  return address;
}

function option(fd: number, level: number, name: number, value: BufferSource & ArrayBufferView) {
  const bytes = new Uint8Array(value.buffer as ArrayBuffer, value.byteOffset, value.byteLength);
  checked(libc.setsockopt(fd, level, name, bytes, bytes.length), "setsockopt");
}

/**
 * Connects to a port of 127.0.0.1, and returns the file descriptor.
 *
 * @param receiveBufferBytes the size of the kernel's receive buffer; the kernel decides if omitted
 */
export function connect(port: number, receiveBufferBytes?: number): number {
  const fd = checked(libc.socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
  option(fd, IPPROTO_TCP, TCP_NODELAY, new Int32Array([1]));
  option(fd, SOL_SOCKET, SO_SNDTIMEO, new BigInt64Array([SEND_TIMEOUT_SECONDS, 0n]));
  // close() resets the connection, so that thousands of closed ones do not stay in TIME_WAIT.
  option(fd, SOL_SOCKET, SO_LINGER, new Int32Array([1, 0]));
  if (receiveBufferBytes !== undefined) {
    option(fd, SOL_SOCKET, SO_RCVBUF, new Int32Array([receiveBufferBytes]));
  }
  const address = loopback(port);
  if (libc.connect(fd, address, address.length) < 0) {
    libc.close(fd);
    throw new Error(`cannot connect to port ${port}`);
  }
  return fd;
}

/** Listens on a port of 127.0.0.1, and returns the file descriptor. */
export function listen(port: number): number {
  const fd = checked(libc.socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
  option(fd, SOL_SOCKET, SO_REUSEADDR, new Int32Array([1]));
  const address = loopback(port);
  checked(libc.bind(fd, address, address.length), "bind");
  checked(libc.listen(fd, 1024), "listen");
  return fd;
}

/** Waits for a connection, and returns its file descriptor. */
export function accept(listener: number): number {
  const fd = checked(libc.accept(listener, null, null), "accept");
  option(fd, IPPROTO_TCP, TCP_NODELAY, new Int32Array([1]));
  return fd;
}

/** Sends all bytes and blocks until that is done; returns whether it succeeded. */
export function send(fd: number, bytes: Uint8Array<ArrayBuffer>): boolean {
  for (let rest = bytes; rest.length > 0;) {
    const sent = libc.send(fd, rest, BigInt(rest.length), MSG_NOSIGNAL);
    if (sent < 0) return false;
    if (sent === rest.length) return true;
    rest = rest.subarray(sent);
  }
  return true;
}

/** Waits for data and receives it; returns its length, or 0 or less if the connection has ended. */
export function receive(fd: number, buffer: Uint8Array<ArrayBuffer>): number {
  return libc.recv(fd, buffer, BigInt(buffer.length), 0);
}

/** Closes a socket. */
export function close(fd: number): void {
  libc.close(fd);
}

/** The most sockets that one {@linkcode Poller.wait} returns. */
const MAX_EVENTS = 512;

/** The size of an `epoll_event` in 32-bit words: it is packed on x86-64 only. */
const EVENT_WORDS = Deno.build.arch === "x86_64" ? 3 : 4;

/**
 * Waits until one of many sockets can be read. It polls and never sleeps: on one machine, the
 * sender pays for waking the receiver. That would count as the server's CPU time, although clients
 * on other machines cause no such cost.
 */
export class Poller {
  /** How long all pollers together have waited for data. */
  static totalWaitMs = 0;

  readonly #fd = checked(libc.epoll_create1(SOCK_CLOEXEC), "epoll_create1");
  readonly #events = new Int32Array(EVENT_WORDS * MAX_EVENTS);
  readonly #eventBytes = new Uint8Array(this.#events.buffer);

  /** Adds a socket to those that are waited for. */
  add(fd: number): void {
    const event = new Int32Array(EVENT_WORDS);
    event[0] = EPOLLIN;
    event[EVENT_WORDS - 2] = fd;
    const bytes = new Uint8Array(event.buffer);
    checked(libc.epoll_ctl(this.#fd, EPOLL_CTL_ADD, fd, bytes), "epoll_ctl");
  }

  /** Waits up to `timeoutMs`, which may be a fraction; returns how many sockets can be read. */
  wait(timeoutMs: number): number {
    let count = this.#countReady();
    if (count > 0 || timeoutMs <= 0) return count;
    const start = performance.now();
    let now: number;
    do {
      // Redis runs on the same core.
      libc.sched_yield();
      count = this.#countReady();
      now = performance.now();
    } while (count === 0 && now - start < timeoutMs);
    Poller.totalWaitMs += now - start;
    return count;
  }

  #countReady(): number {
    return checked(libc.epoll_wait(this.#fd, this.#eventBytes, MAX_EVENTS, 0), "epoll_wait");
  }

  /**
   * Returns the file descriptor of a socket that can be read: the one at `index` of the last wait.
   */
  readyFd(index: number): number {
    return this.#events[index * EVENT_WORDS + EVENT_WORDS - 2];
  }

  /** Closes the poller, but not its sockets. */
  close(): void {
    libc.close(this.#fd);
  }
}
