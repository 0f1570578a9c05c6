import { Connection } from "./connection.ts";
import { type Dice, utf8 } from "./dice.ts";
import { ATTACKED, type Kind, MEDDLED, type Target } from "./kind.ts";

/** How long an incomplete request waits for its response, in milliseconds. */
const PATIENCE_MS = 50;

const LEAVE = "\x88\x80\0\0\0\0";

const ROOMS = [ATTACKED, MEDDLED, "chat", "a.b_c-d"];

/** Handshakes of WebSockets, as raw bytes. */
export const handshakes: Kind<string> = { share: 35, size: 1, make: makeHandshake, run };

/** Requests of all routes, as raw bytes. */
export const httpRequests: Kind<string> = { share: 17, size: 4, make: makeRequest, run };

function makeHandshake(dice: Dice): string {
  const headers = [
    `Host: ${dice.text("localhost", "127.0.0.1:8080", "[::1]")}`,
    `Upgrade: ${dice.text("websocket", "WebSocket", "h2c, websocket")}`,
    `Connection: ${dice.text("Upgrade", "keep-alive, Upgrade")}`,
    `Sec-WebSocket-Version: ${dice.text("13", "13", "8")}`,
    `Sec-WebSocket-Key: ${dice.text("dGhlIHNhbXBsZSBub25jZQ==")}`,
    ...dice.some(1, () => `Sec-WebSocket-Protocol: ${makeSubprotocols(dice)}`),
    ...dice.some(1, () => `Sec-WebSocket-Extensions: ${dice.text("permessage-deflate")}`),
    ...dice.some(2, () => makeHeader(dice)),
  ];
  if (dice.chance(0.2)) headers.splice(dice.below(headers.length), 1);
  const path = `/chat/${dice.text("foo", "bar", "ann", "Zo%C3%AB", "%F0%9F%98%80")}`;
  const query = makeQuery(dice, ["room", "history", "since", "token"]);
  return finish(dice, dice.text("GET", "GET", "GET", "POST"), path + query, headers, "");
}

function makeSubprotocols(dice: Dice): string {
  const secret = `secret.${"s".repeat(16)}.${dice.text("1", "2", "9007199254740991")}`;
  return ["chat.json.v1", ...dice.some(2, () => dice.text(secret, "token.abc", "chat.json.v2"))]
    .join(dice.text(", ", ","));
}

function makeRequest(dice: Dice): string {
  const path = dice.text(
    ...["/", "/healthz", "/readyz", "/client.js", "/sw.js", "/web/x/main.js"],
    ...["/chat", "/chat/", "/chat/foo", "/nothing", "*", "http://example.com/", "example.com:80"],
    ...ROOMS.flatMap((room) => ["messages", "users"].map((list) => `/rooms/${room}/${list}`)),
  );
  const body = dice.chance(0.2) ? dice.bytes(100) : "";
  const method = dice.text("GET", "GET", "GET", "HEAD", "OPTIONS", "POST", "DELETE", "CONNECT");
  const headers = [
    `Host: ${dice.text("localhost", "localhost", "example.com:80")}`,
    `Connection: ${dice.text("close", "close", "keep-alive")}`,
    ...(body ? [dice.text(`Content-Length: ${body.length}`, "Transfer-Encoding: chunked")] : []),
    ...dice.some(3, () => makeHeader(dice)),
  ];
  const query = makeQuery(dice, ["before", "limit", "from", "room", "history"]);
  return finish(dice, method, path + query, headers, body);
}

function makeQuery(dice: Dice, names: readonly string[]): string {
  const values = [...ROOMS, "0", "1", "50", "200", "1-0", "0-0", `${Date.now()}-0`];
  const pairs = dice.some(3, () => `${dice.pick(names)}=${dice.text(...values)}`);
  return pairs.length > 0 ? `?${pairs.join("&")}` : "";
}

function makeHeader(dice: Dice): string {
  const address = dice.text("1.2.3.4", "::1", "[2001:db8::1]:80", "::ffff:1.2.3.4", "unknown");
  return dice.pick([
    () => `X-Forwarded-For: ${dice.text(address, `${address}, 5.6.7.8`, `,${address},`)}`,
    () => `Forwarded: ${dice.text(`for=${address}`, `for="${address}";by=x, for=_y`)}`,
    () => `If-None-Match: ${dice.text("*", '"a"', 'W/"a", "b"')}`,
    () => `Range: ${dice.text("bytes=0-1", "bytes=-")}`,
    () => `Expect: ${dice.text("100-continue")}`,
    () => `Content-Length: ${dice.text("0", "5", "5, 5")}`,
    () => `Transfer-Encoding: ${dice.text("chunked", "gzip, chunked", "identity")}`,
    () => `Origin: ${dice.text("http://evil.example", "null")}`,
    () => `Authorization: ${dice.text("Bearer abc", "Basic Zm9v")}`,
    () => `Cookie: ${"c".repeat(dice.below(9_000))}`,
    () => `${dice.text("X-Odd", "Upgrade", "Host")}: ${dice.text("a", "websocket")}`,
  ])();
}

function finish(
  dice: Dice,
  method: string,
  target: string,
  headers: readonly string[],
  body: string,
): string {
  const request = utf8(
    `${method} ${target} ${dice.text("HTTP/1.1", "HTTP/1.1", "HTTP/1.0")}\r\n` +
      headers.map((header) => `${header}\r\n`).join("") + `\r\n${body}`,
  );
  return dice.chance(0.2) ? dice.damage(request) : request;
}

async function run(requests: readonly string[], target: Target): Promise<void> {
  await Promise.all(requests.map((request) => runOne(request, target)));
}

async function runOne(request: string, { port, address }: Target): Promise<void> {
  const connection = await Connection.open(port, address);
  connection.write(request);
  if (await connection.until("\r\n\r\n", PATIENCE_MS)) {
    const status = Number(/^HTTP\/1\.[01] (\d{3}) /.exec(connection.received)?.[1]);
    if (!(status >= 100 && status < 500) && status !== 503) {
      throw new Error(`the response is ${connection.received.slice(0, 300)}`);
    }
    if (status === 101) {
      connection.write(LEAVE);
      await connection.until("\x88", PATIENCE_MS);
    }
  }
  connection.close();
}
