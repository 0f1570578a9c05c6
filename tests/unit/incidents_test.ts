import { assertEquals } from "@std/assert";
import { configureSync, resetSync } from "@logtape/logtape";
import { Incidents } from "../../chat/store/redis/incidents.ts";
import { cleanWords } from "../../chat/store/redis/redis_errors.ts";
import { endOfTurn } from "../support/wait.ts";

Deno.test("what Redis says is the same whatever script it stopped, and has no user's text", () => {
  const words = "OOM command not allowed when used memory > 'maxmemory'.";
  const inProbe = `@user_script: 26: -${words}\r\n`;
  for (
    const message of [
      words,
      `${words} script: 3ad8a8, on @user_script:34.`,
      inProbe,
      `ERR Error running script (call to f_3ad8a8): @user_script:26: ${inProbe}`,
    ]
  ) {
    assertEquals(cleanWords(message), words);
  }
  assertEquals(
    cleanWords("ERR unknown command 'xadd', with args beginning with: 'a secret' "),
    "ERR unknown command 'xadd'",
  );
});

Deno.test("a refusal that each sweep meets again is one incident", async () => {
  let nowMs = 0;
  let tick = () => {};
  const { now } = performance;
  const { setInterval } = globalThis;
  const lines: string[] = [];
  performance.now = () => nowMs;
  globalThis.setInterval = ((step: () => void) => {
    tick = step;
    return 1;
  }) as unknown as typeof setInterval;
  configureSync({
    reset: true,
    sinks: { list: (record) => lines.push(`${record.level} ${record.message.join("")}`) },
    loggers: [
      { category: "chat", sinks: ["list"] },
      { category: ["logtape", "meta"], lowestLevel: "warning" },
    ],
  });
  try {
    const incidents = new Incidents(() => Promise.resolve(null));
    const words = "WRONGTYPE Operation against a key holding the wrong kind of value";
    const error = `error a key of the chat has a wrong type: what needs it is refused (${words})`;
    const pass = async (seconds: number, isSwept: boolean) => {
      for (let second = 0; second < seconds; second++) {
        // A room is swept every 25 seconds at most.
        if (isSwept && second % 25 === 0) incidents.note(words);
        nowMs += 1_000;
        tick();
        await endOfTurn();
      }
    };
    await pass(100, true);
    assertEquals(lines, [error]);
    await pass(40, false);
    assertEquals(lines, [
      error,
      "info Over after 75 s: a key of the chat has a wrong type; 4 commands failed",
    ]);
    incidents.close();
  } finally {
    performance.now = now;
    globalThis.setInterval = setInterval;
    resetSync();
  }
});
