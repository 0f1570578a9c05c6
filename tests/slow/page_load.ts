/**
 * Measures the page in Chromium while a room is busy: `deno run -A tests/slow/page_load.ts
 * [MESSAGES] [PER_SECOND]`. Meanwhile it types, scrolls up and back, and prints the longest tasks,
 * the latency of the keys, and the memory. If messages are missing, the exit code is 1.
 */
import { startChromium, untilTrue } from "../support/browser.ts";
import { startInstance } from "../support/instance.ts";
import { JsonClient } from "../support/json_client.ts";
import { sleep } from "../support/wait.ts";

const messages = Number(Deno.args[0] ?? 10_000);
const perSecond = Number(Deno.args[1] ?? 200);
const BATCH_MS = 50;

/** What the script uses of a session of Chromium's debugger. */
interface Debugger {
  send(method: "SystemInfo.getProcessInfo"): Promise<{ processInfo: Process[] }>;
  send(method: string): Promise<{ metrics: { name: string; value: number }[] }>;
}

interface Process {
  readonly type: string;
  readonly id: number;
}

const instance = await startInstance();
const browser = await startChromium();
const context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
const page = await context.newPage();
const processes = await (browser as unknown as { newBrowserCDPSession(): Promise<Debugger> })
  .newBrowserCDPSession();
const { newCDPSession } = context as unknown as {
  newCDPSession(page: unknown): Promise<Debugger>;
};
const chromium = await newCDPSession.call(context, page);
await chromium.send("Performance.enable");

/** Reads the megabytes of the JavaScript heap, and the number of DOM nodes. */
async function measure(): Promise<{ heap: number; nodes: number }> {
  const { metrics } = await chromium.send("Performance.getMetrics");
  const value = (name: string) => metrics.find((metric) => metric.name === name)!.value;
  return { heap: value("JSHeapUsedSize") / 1e6, nodes: value("Nodes") };
}

/**
 * Reads the private megabytes of the process that renders the page: the heap, the DOM, layout,
 * and Chromium's own. It is the largest one: another one waits for a next page.
 */
async function measureRenderer(): Promise<number> {
  const { processInfo } = await processes.send("SystemInfo.getProcessInfo");
  return Math.max(
    ...processInfo.filter(({ type }) => type === "renderer").map(({ id }) => {
      const rollup = Deno.readTextFileSync(`/proc/${id}/smaps_rollup`);
      const sizes = [...rollup.matchAll(/^Private_\w+: +(\d+) kB/gm)].map(([, kB]) => Number(kB));
      return sizes.reduce((sum, kB) => sum + kB, 0) / 1_000;
    }),
  );
}

await page.goto(`${instance.http}/r/load`);
await page.locator("#join-name").fill("anna");
await page.keyboard.press("Enter");
await page.locator(".composer-box:visible").waitFor();
const rendererAtStart = await measureRenderer();
const publisher = await JsonClient.join(instance.port, "ben", { room: "load" });
await page.evaluate(`(() => {
  globalThis.log = document.querySelector("[role=log]");
  globalThis.start = performance.now();
  Object.assign(globalThis, { tasks: [], keys: [], frames: 0, longestFrame: 0 });
  const observe = (type, list, options) => new PerformanceObserver((entries) => {
    for (const { startTime, duration, name } of entries.getEntries()) {
      if (startTime > start + 1000 && name !== "scroll") list.push(Math.round(duration));
    }
  }).observe({ type, ...options });
  observe("longtask", tasks);
  observe("event", keys, { durationThreshold: 16 });
  let last = start;
  const frame = (now) => {
    frames++;
    longestFrame = Math.max(longestFrame, now - last);
    last = now;
    requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
})()`);

let sent = 0;
const startMs = performance.now();
const publishing = setInterval(() => {
  const due = Math.min(messages, Math.floor((performance.now() - startMs) / 1_000 * perSecond));
  const lines = [];
  for (; sent < due; sent++) {
    const text = `message ${sent} ` + "of some words ".repeat(sent * 7 % 12) +
      (sent % 10 === 0 ? "https://example.org/ anna" : "");
    lines.push({ type: "message", text });
  }
  if (lines.length > 0) publisher.send(...lines);
  if (sent === messages) clearInterval(publishing);
}, BATCH_MS);

const peak = { heap: 0, nodes: 0, rows: 0, renderer: 0 };
for (let second = 0; sent < messages; second++) {
  await page.keyboard.press(second % 2 === 0 ? "a" : "Backspace");
  await page.keyboard.press("b");
  if (second % 10 === 6) {
    await page.mouse.move(600, 300);
    await page.mouse.wheel(0, -1_500);
  }
  if (second % 10 === 9) await page.locator(".jump").click();
  const { heap, nodes } = await measure();
  peak.heap = Math.max(peak.heap, heap);
  peak.nodes = Math.max(peak.nodes, nodes);
  peak.renderer = Math.max(peak.renderer, await measureRenderer());
  const rows = await page.evaluate<number>("log.querySelectorAll('.row').length");
  peak.rows = Math.max(peak.rows, rows);
  if (second % 10 === 9) await page.locator(".composer-box").click();
  await sleep(700);
}
await page.evaluate("document.querySelector('.jump').click()");
await untilTrue(
  page,
  `[...log.querySelectorAll('.message-text')].at(-1).textContent.startsWith("message ${
    sent - 1
  } ")`,
);
const { tasks, keys, ...frames } = await page.evaluate<
  { tasks: number[]; keys: number[]; count: number; seconds: number; longest: number }
>(`({ tasks, keys, count: frames, seconds: (performance.now() - start) / 1000,
  longest: longestFrame })`);
await chromium.send("HeapProfiler.collectGarbage");
const after = await measure();
const rendererAfter = await measureRenderer();

/** Reads what is shown above, up to a gap in the numbers of the messages. */
const complete = await page.evaluate<number>(`(async () => {
  let lowest = ${sent};
  for (let i = 0, still = 0; still < 30 && i < 3000; i++) {
    const before = lowest;
    for (const { textContent } of [...log.querySelectorAll(".message-text")].reverse()) {
      const number = Number(textContent.split(" ")[1]);
      if (number === lowest - 1) lowest = number;
    }
    still = lowest === before ? still + 1 : 0;
    log.scrollTop = 0;
    for (let frame = 0; frame < 2; frame++) await new Promise(requestAnimationFrame);
  }
  return ${sent} - lowest;
})()`);

const list = (values: number[]) =>
  `${values.length}, the longest ${values.toSorted((a, b) => b - a).slice(0, 5).join(", ")} ms`;
console.log(`${sent} messages at ${perSecond}/s, in ${frames.seconds.toFixed(1)} s`);
console.log(`long tasks after the first second: ${list(tasks)}`);
console.log(`events that took 16 ms or more to the next paint: ${list(keys)}`);
console.log(
  `frames: ${(frames.count / frames.seconds).toFixed(0)}/s, longest ${
    frames.longest.toFixed(0)
  } ms`,
);
console.log(
  `heap: at most ${peak.heap.toFixed(1)} MB, without garbage ${after.heap.toFixed(1)} MB; ` +
    `DOM: at most ${peak.nodes} nodes, ${peak.rows} rows`,
);
console.log(
  `private memory of the renderer: ${rendererAtStart.toFixed(0)} MB before, ` +
    `at most ${peak.renderer.toFixed(0)} MB, without garbage ${rendererAfter.toFixed(0)} MB`,
);
console.log(`the newest ${complete} messages are there without a gap, also those read again`);
await publisher.leave();
await browser[Symbol.asyncDispose]();
await instance[Symbol.asyncDispose]();
if (complete < Math.min(messages, 1_000)) Deno.exit(1);
