import { assertEquals, assertThrows } from "@std/assert";
import { makeFrame, PING, readChunks, readFrames, TEXT } from "./frames.ts";

/** Builds a server's frame: a client's frame without the mask. */
function fromServer(opcode: number, text: string): number[] {
  const frame = makeFrame(opcode, new TextEncoder().encode(text));
  const header = frame.length - new TextEncoder().encode(text).length - 4;
  frame[1] &= 0x7f;
  return [...frame.subarray(0, header), ...frame.subarray(header + 4)];
}

Deno.test("readFrames finds the same frames wherever TCP splits the stream", () => {
  const texts = ["", "a", "b".repeat(125), "c".repeat(126), "d".repeat(4000), "the end"];
  const bytes = new Uint8Array([...texts.flatMap((text) => fromServer(TEXT, text)), 0x89, 0]);
  for (let cut = 0; cut <= bytes.length; cut++) {
    const taken: string[] = [];
    const onFrame = (opcode: number, from: Uint8Array, start: number, end: number) => {
      taken.push(opcode === PING ? "ping" : new TextDecoder().decode(from.subarray(start, end)));
    };
    const consumed = readFrames(bytes, 0, cut, onFrame);
    const rest = bytes.subarray(consumed);
    assertEquals(readFrames(rest, 0, rest.length, onFrame), rest.length);
    assertEquals(taken, [...texts, "ping"]);
  }
});

Deno.test("readFrames reads a frame of more than 65,535 bytes", () => {
  const length = 70_000;
  const bytes = new Uint8Array(10 + length);
  bytes.set([0x81, 127, 0, 0, 0, 0, 0, length >> 16, length >> 8 & 0xff, length & 0xff]);
  const taken: number[] = [];
  assertEquals(readFrames(bytes, 0, bytes.length - 1, () => taken.push(-1)), 0);
  readFrames(bytes, 0, bytes.length, (_, __, start, end) => taken.push(start, end));
  assertEquals(taken, [10, 10 + length]);
});

Deno.test("readFrames rejects masked and compressed frames", () => {
  const masked = makeFrame(TEXT, new Uint8Array(3));
  assertThrows(() => readFrames(masked, 0, masked.length, () => {}), Error, "masked");
  const compressed = new Uint8Array([0xc1, 0]);
  assertThrows(() => readFrames(compressed, 0, 2, () => {}), Error, "byte 193");
});

Deno.test("readChunks finds the same chunks wherever TCP splits the stream", () => {
  const texts = ["a", "b".repeat(15), "c".repeat(16), "d".repeat(4000)];
  const stream = texts.map((text) => `${text.length.toString(16).toUpperCase()}\r\n${text}\r\n`);
  const bytes = new TextEncoder().encode(stream.join("") + "0\r\n\r\n");
  for (let cut = 0; cut <= bytes.length; cut++) {
    const taken: string[] = [];
    const onFrame = (opcode: number, from: Uint8Array, start: number, end: number) => {
      taken.push(opcode === TEXT ? new TextDecoder().decode(from.subarray(start, end)) : "end");
    };
    const consumed = readChunks(bytes, 0, cut, onFrame);
    const rest = bytes.subarray(consumed);
    assertEquals(readChunks(rest, 0, rest.length, onFrame), rest.length);
    assertEquals(taken, [...texts, "end"]);
  }
});
