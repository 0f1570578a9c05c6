import { assert } from "@std/assert";
import { writePackage } from "../../tools/npm.ts";
import { serveFiles } from "./browser.ts";
import { installNpmPackages } from "./npm.ts";

/** Runs a program in a folder, and returns what it prints. */
export async function runIn(
  cwd: string,
  program: string,
  args: string[],
  env: Record<string, string> = {},
): Promise<string> {
  const output = await new Deno.Command(program, { args, cwd, env }).output();
  const [stdout, stderr] = [output.stdout, output.stderr].map((b) => new TextDecoder().decode(b));
  assert(output.success, `${program} ${args.join(" ")}: ${stdout}${stderr}`);
  return stdout;
}

/** A project of a user of the client, which has installed its package. Disposing it removes it. */
export interface Project extends AsyncDisposable {
  readonly path: string;
  /** Returns the path of a file in an npm package of `tests/npm/client`. */
  file(path: string): string;
  /** Builds the project's `index.html` with Vite, and serves the result. */
  serveBuilt(mode?: "development" | "production"): Promise<ReturnType<typeof serveFiles>>;
}

/** Makes a project of some files in a temporary folder. */
export async function makeProject(files: Readonly<Record<string, string>>): Promise<Project> {
  const packages = new URL("node_modules/", await installNpmPackages("client")).pathname;
  const path = await Deno.makeTempDir();
  const file = (name: string) => packages + name;
  await writePackage(`${path}/package`);
  const tarball = (await runIn(path, "npm", ["pack", "--silent", "./package"])).trim();
  await Deno.writeTextFile(`${path}/package.json`, JSON.stringify({ type: "module" }));
  await runIn(path, "npm", ["install", "--offline", "--no-audit", `./${tarball}`]);
  for (const name of ["react", "react-dom"]) {
    await Deno.symlink(file(name), `${path}/node_modules/${name}`);
  }
  for (const [name, text] of Object.entries(files)) {
    await Deno.writeTextFile(`${path}/${name}`, text);
  }
  return {
    path,
    file,
    async serveBuilt(mode = "production") {
      const vite = [file("vite/bin/vite.js"), "build", "--mode", mode];
      await runIn(path, file("node24/bin/node"), vite, { NODE_ENV: mode });
      const assets = [...Deno.readDirSync(`${path}/dist/assets`)].map(({ name }) =>
        `/assets/${name}`
      );
      return serveFiles(Object.fromEntries(
        ["/index.html", ...assets].map((
          name,
        ) => [name, Deno.readTextFileSync(`${path}/dist${name}`)]),
      ));
    },
    [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }),
  };
}

/**
 * Whether the tests of npm projects are left out: they download 450 MB, and the packages with
 * Node.js are for one kind of machine.
 */
export const WITHOUT_NPM_PROJECTS = !Deno.env.get("CI") || Deno.build.os !== "linux" ||
  Deno.build.arch !== "x86_64";
