/**
 * The few functions of the C library that the load generator lives on: sockets and epoll, called synchronously. Reading
 * with `Deno.connect` costs a promise for every read, several times what the read itself costs, and then it is the load
 * generator that is measured. For Linux on x86-64 and ARM64.
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
  // Both return a ssize_t; of what is sent and received here its lower half is enough, and no BigInt is made for it.
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

/** No connect and no send blocks for longer, in seconds: a server that hangs must not hang the bench. */
const PATIENCE = 10n;

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
 * Connects to a port of 127.0.0.1.
 *
 * @param receives the size of the kernel's buffer for what was not read yet, where it must be small
 */
export function connect(port: number, receives?: number): number {
  const fd = checked(libc.socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
  option(fd, IPPROTO_TCP, TCP_NODELAY, new Int32Array([1]));
  option(fd, SOL_SOCKET, SO_SNDTIMEO, new BigInt64Array([PATIENCE, 0n]));
  // Closed by reset: nothing of thousands of connections is left in TIME_WAIT.
  option(fd, SOL_SOCKET, SO_LINGER, new Int32Array([1, 0]));
  if (receives !== undefined) option(fd, SOL_SOCKET, SO_RCVBUF, new Int32Array([receives]));
  const address = loopback(port);
  if (libc.connect(fd, address, address.length) < 0) {
    libc.close(fd);
    throw new Error(`cannot connect to port ${port}`);
  }
  return fd;
}

/** Listens on a port of 127.0.0.1. */
export function listen(port: number): number {
  const fd = checked(libc.socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
  option(fd, SOL_SOCKET, SO_REUSEADDR, new Int32Array([1]));
  const address = loopback(port);
  checked(libc.bind(fd, address, address.length), "bind");
  checked(libc.listen(fd, 1024), "listen");
  return fd;
}

/** Waits for a connection. */
export function accept(listener: number): number {
  const fd = checked(libc.accept(listener, null, null), "accept");
  option(fd, IPPROTO_TCP, TCP_NODELAY, new Int32Array([1]));
  return fd;
}

/** Sends all of it, waiting if it must; says whether it could. */
export function send(fd: number, bytes: Uint8Array<ArrayBuffer>): boolean {
  for (let rest = bytes; rest.length > 0;) {
    const sent = libc.send(fd, rest, BigInt(rest.length), MSG_NOSIGNAL);
    if (sent < 0) return false;
    if (sent === rest.length) return true;
    rest = rest.subarray(sent);
  }
  return true;
}

/** Receives what there is, waiting for the first byte; 0 or less is the end. */
export function receive(fd: number, into: Uint8Array<ArrayBuffer>): number {
  return libc.recv(fd, into, BigInt(into.length), 0);
}

/** Closes a socket. */
export function close(fd: number): void {
  libc.close(fd);
}

/** As many sockets are handed out by one {@linkcode Poll.wait} at most. */
const AT_ONCE = 512;

/** An `epoll_event` is packed on x86-64 alone. */
const STRIDE = Deno.build.arch === "x86_64" ? 3 : 4;

/**
 * Waits until one of many sockets can be read, and never sleeps: to wake someone on the same machine is paid by who sends,
 * and would be measured as the server's, though clients elsewhere cost it nothing of the kind.
 */
export class Poll {
  /** For how long all of these have waited, in milliseconds. */
  static waited = 0;

  readonly #fd = checked(libc.epoll_create1(SOCK_CLOEXEC), "epoll_create1");
  readonly #events = new Int32Array(STRIDE * AT_ONCE);
  readonly #eventBytes = new Uint8Array(this.#events.buffer);

  add(fd: number): void {
    const event = new Int32Array(STRIDE);
    event[0] = EPOLLIN;
    event[STRIDE - 2] = fd;
    const bytes = new Uint8Array(event.buffer);
    checked(libc.epoll_ctl(this.#fd, EPOLL_CTL_ADD, fd, bytes), "epoll_ctl");
  }

  /** Waits for at most so many milliseconds, which may be a fraction; gives how many sockets can be read. */
  wait(milliseconds: number): number {
    let count = this.#look();
    if (count > 0 || milliseconds <= 0) return count;
    const start = performance.now();
    let now: number;
    do {
      // Redis has the same core.
      libc.sched_yield();
      count = this.#look();
      now = performance.now();
    } while (count === 0 && now - start < milliseconds);
    Poll.waited += now - start;
    return count;
  }

  #look(): number {
    return checked(libc.epoll_wait(this.#fd, this.#eventBytes, AT_ONCE, 0), "epoll_wait");
  }

  /** The socket that came as this one of those that can be read. */
  ready(index: number): number {
    return this.#events[index * STRIDE + STRIDE - 2];
  }

  close(): void {
    libc.close(this.#fd);
  }
}
