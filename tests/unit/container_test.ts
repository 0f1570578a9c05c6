import { assert, assertEquals } from "@std/assert";
import { SETTINGS } from "../../chat/config/settings.ts";
import config from "../../deno.json" with { type: "json" };
import { dockerfile, imageCommand } from "../support/dockerfile.ts";

async function readProjectFile(name: string): Promise<string> {
  return await Deno.readTextFile(new URL(`../../${name}`, import.meta.url));
}

Deno.test("the image runs the same command as `deno task start`", () => {
  const onlyThere = ["--cached-only", "--no-prompt"];
  assertEquals(
    ["deno", ...imageCommand.filter((argument) => !onlyThere.includes(argument))],
    config.tasks.start.command.split(" "),
  );
});

Deno.test("what the Dockerfile copies is in the build context, and nothing else is", async () => {
  const copied = [...dockerfile.matchAll(/^COPY (.+) \S+$/gm)].flatMap(([, from]) =>
    from.split(" ")
  );
  const [first, ...rest] = (await readProjectFile(".dockerignore")).trimEnd().split("\n");
  assertEquals(first, "*");
  assertEquals(rest.toSorted(), copied.map((path) => `!${path}`).toSorted());
});

Deno.test("the variables in compose.yaml and in the Dockerfile are settings", async () => {
  const compose = await readProjectFile("compose.yaml");
  const blocks = compose.matchAll(/^( +)environment:\n((?:\1 +\S.*\n)+)/gm);
  const inCompose = [...blocks].flatMap(([, , block]) => block.match(/(?<=^ +)\w+(?=:)/gm)!);
  const inDockerfile = /^ENV (.+)$/m.exec(dockerfile)![1].match(/\w+(?==)/g)!;
  assert(inCompose.includes("REDIS_HOST") && inDockerfile.includes("LOG_FORMAT"));
  for (const name of [...inCompose, ...inDockerfile]) assert(name in SETTINGS, name);
});

Deno.test("compose.yaml publishes the port on which the image listens", async () => {
  const compose = await readProjectFile("compose.yaml");
  const ports = [...compose.matchAll(/- "(\d+):(\d+)"/g)].map(([, ...ports]) => ports.map(Number));
  assertEquals(ports, [[9090, SETTINGS.PORT.default], [9091, SETTINGS.PORT.default]]);
  assert(dockerfile.includes(`\nEXPOSE ${SETTINGS.PORT.default}\n`));
});
