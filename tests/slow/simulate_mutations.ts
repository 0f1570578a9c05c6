/**
 * Shows that the simulation finds what it is for: `deno task simulate:mutations [SEEDS]`.
 *
 * It breaks a copy of this tree on purpose, in one place at a time, and runs the first seeds with
 * each of the broken builds, and with the right one. The exit code is 1 unless each broken build
 * fails, and the right one does not. With 50 seeds, it takes about two minutes.
 */
import { run } from "../support/process.ts";

interface Mutation {
  readonly name: string;
  readonly file: string;
  readonly from: string;
  readonly to: string;
}

const MUTATIONS: readonly Mutation[] = [
  {
    name: "a session that resumes is always told that nothing is missing",
    file: "chat/session/replay.ts",
    from: "return { recovered, pages: replayUpTo",
    to: "return { recovered: true, pages: replayUpTo",
  },
  {
    name: "a message is taken although the one that it names was not",
    file: "chat/store/redis/scripts/publish.lua",
    from: "if not id and (after == '' or sender.known[after]) then",
    to: "if not id then",
  },
  {
    name: "what does not follow the position is delivered, without a gap fill",
    file: "chat/store/redis/room_subscription.ts",
    from: "if (!isFilling && isNext) return",
    to: "if (!isFilling) return",
  },
  {
    name: "an instance tells no session of a gap",
    file: "chat/store/redis/room_subscription.ts",
    from: 'const event: RoomEvent = { type: "resync", last, gap };',
    to: 'const event: RoomEvent = { type: "resync", last, gap: false };',
  },
];

const ROOT = new URL("../..", import.meta.url).pathname;
const COPIED = ["chat", "web", "tests", "vendor", "deno.json", "deno.lock"];

/** Runs the simulation in a folder, and returns how many seeds failed. */
async function countFailures(folder: string, seeds: string): Promise<number> {
  const simulation = run(Deno.execPath(), [
    ...["run", "--quiet", "--frozen", "--no-check", "--allow-all"],
    ...[`--config=${folder}/deno.json`, `${folder}/tests/slow/simulate.ts`, seeds],
  ]);
  const [, failed] = await simulation.output.find(/^(\d+) failed/);
  await simulation.exit;
  return Number(failed);
}

const seeds = Deno.args[0] ?? "50";
const folder = await Deno.makeTempDir();
let isRight = true;
try {
  const names = COPIED.map((name) => `${ROOT}${name}`);
  await run("cp", ["-r", ...names, folder]).exit;
  const failures = await countFailures(folder, seeds);
  isRight = failures === 0;
  console.log(`${failures} of ${seeds} seeds fail with the right build`);
  for (const { name, file, from, to } of MUTATIONS) {
    const path = `${folder}/${file}`;
    const source = await Deno.readTextFile(path);
    if (source.split(from).length !== 2) {
      throw new Error(`${file} does not have this once: ${from}`);
    }
    await Deno.writeTextFile(path, source.replace(from, to));
    const failures = await countFailures(folder, seeds);
    await Deno.writeTextFile(path, source);
    isRight &&= failures > 0;
    console.log(`${failures} of ${seeds} seeds fail if ${name}`);
  }
} finally {
  await Deno.remove(folder, { recursive: true });
}
Deno.exit(isRight ? 0 : 1);
