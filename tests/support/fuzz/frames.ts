import { handshake } from "../raw_client.ts";
import { Connection } from "./connection.ts";
import { type Dice, utf8 } from "./dice.ts";
import { ATTACKED, type Kind, type Target } from "./kind.ts";

/** How long the answer to a ping may take, in milliseconds, for what has broken the framing. */
const PATIENCE_MS = 100;

const [TEXT, PING] = [1, 9];

/** WebSocket frames that a correct client never sends. */
export const rawFrames: Kind<string> = {
  share: 20,
  size: 3,
  make: (dice) => dice.some(4, () => makeFrame(dice)).join(""),
  run: (inputs, target) => send(inputs, target),
};

/** What JSON clients send, damaged. */
export const jsonEvents: Kind<string> = {
  share: 6,
  size: 30,
  make: (dice) => encode({ opcode: TEXT, payload: utf8(makeLines(dice)) }),
  run: (inputs, target) => send(inputs, target, "Sec-WebSocket-Protocol: chat.json.v1"),
};

function makeLines(dice: Dice): string {
  if (dice.chance(0.01)) return `${dice.pick(["1", "", "{}", '{"type":"ping"}'])}\n`.repeat(1_001);
  const lines = [makeLine(dice), ...dice.some(dice.chance(0.2) ? 5 : 0, () => makeLine(dice))];
  return lines.join(dice.chance(0.9) ? "\n" : dice.text("\r\n", "\n\n"));
}

function makeLine(dice: Dice): string {
  const ref = JSON.stringify(dice.text("r1", "r2", "r3"));
  return dice.object(dice.pick([
    [["type", '"message"'], ["text", JSON.stringify(dice.text("hello", "has left the chat!"))]],
    [["type", '"message"'], ["text", '"hello"'], ["ref", ref]],
    [["type", '"message"'], ["text", '"hello"'], ["ref", ref], ["after", '"r1"']],
    [["type", '"ping"']],
    [["type", dice.chance(0.1) ? '"leave"' : '"ping"']],
    [["type", JSON.stringify(dice.text("welcome", "joined", "replaced", "ack", "token"))]],
  ]));
}

interface FrameOptions {
  readonly opcode: number;
  readonly payload: string;
  readonly flags?: number;
  readonly isMasked?: boolean;
  readonly lengthBytes?: number;
  readonly length?: number;
}

function makeFrame(dice: Dice): string {
  const payload = dice.pick([
    () => utf8(dice.text("hello", "has left the chat!", "é".repeat(100))),
    () => dice.bytes(200),
    () => "x".repeat(dice.pick([124, 125, 126, 127, 65_535, 65_536, 70_000])),
    () => String.fromCharCode(3, dice.below(256)) + dice.bytes(130),
  ])();
  const isOdd = dice.chance(0.3);
  return encode({
    opcode: dice.chance(0.7) ? dice.pick([0, 1, 1, 1, 2, 8, 9, 10]) : dice.below(16),
    payload,
    flags: dice.chance(0.7) ? 0x80 : dice.below(16) << 4,
    isMasked: !dice.chance(0.1),
    lengthBytes: isOdd ? dice.pick([0, 2, 8]) : undefined,
    length: dice.chance(0.1)
      ? dice.pick([0, payload.length + 1, 2 ** 31, 2 ** 32, 2 ** 63, 2 ** 64 - 2_048])
      : undefined,
  });
}

/** Encodes a frame (RFC 6455, 5.2), a wrong one if it is asked for. */
function encode(
  { opcode, payload, flags = 0x80, isMasked = true, length = payload.length, lengthBytes }:
    FrameOptions,
): string {
  lengthBytes ??= length < 126 ? 0 : length < 65_536 ? 2 : 8;
  const short = lengthBytes === 0 ? length & 127 : lengthBytes === 2 ? 126 : 127;
  let digits = "";
  for (let rest = BigInt(length), i = 0; i < lengthBytes; i++, rest >>= 8n) {
    digits = String.fromCharCode(Number(rest & 255n)) + digits;
  }
  const head = String.fromCharCode(flags | opcode, (isMasked ? 0x80 : 0) | short) + digits;
  return `${head}${isMasked ? "\0\0\0\0" : ""}${payload}`;
}

let joined = 0;

/** Sends each input in one session, or in the next one if the server has ended that. */
async function send(inputs: readonly string[], target: Target, ...headers: string[]) {
  let connection: Connection | undefined;
  for (const input of inputs) {
    connection ??= await join(target, headers);
    connection.write(input);
    const nonce = `nonce ${Math.random()}`;
    connection.write(encode({ opcode: PING, payload: nonce }));
    if (await connection.until(nonce, PATIENCE_MS)) {
      connection.clear();
    } else {
      connection.close();
      connection = undefined;
    }
  }
  connection?.close();
}

async function join({ port, address }: Target, headers: string[]): Promise<Connection> {
  const connection = await Connection.open(port, address);
  connection.write(handshake(`/chat/mallory-${++joined}?room=${ATTACKED}`, ...headers));
  await connection.until("elcome", 5_000);
  return connection;
}
