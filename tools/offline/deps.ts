/**
 * Makes sure that the two JSR packages of `deno.json` can be imported. If JSR responds, or if
 * `vendor/` already holds them, there is nothing to do. In a closed network, it puts stand-ins of
 * the same shape into `vendor/`.
 */

interface StandIn {
  scoped: string;
  version: string;
  exports: Record<string, string>;
  from: URL;
}

const standIns: StandIn[] = [
  {
    scoped: "@std/http",
    version: "1.1.1",
    exports: {
      "./etag": "./etag.ts",
      "./negotiation": "./negotiation.ts",
      "./status": "./status.ts",
    },
    from: new URL("./http/", import.meta.url),
  },
  {
    scoped: "@std/assert",
    version: "1.0.19",
    exports: { ".": "./mod.ts" },
    from: new URL("./assert/", import.meta.url),
  },
];

const registry = "https://jsr.io";
const vendor = new URL("../../vendor/jsr.io/", import.meta.url);

/** Tells whether the package itself is there, or a stand-in that is up to date. */
async function isVendored({ scoped, version, exports, from }: StandIn): Promise<boolean> {
  const folder = new URL(`${scoped}/`, vendor);
  try {
    const { manifest } = JSON.parse(
      await Deno.readTextFile(new URL(`${version}_meta.json`, folder)),
    );
    if (Object.keys(manifest).length > 0) return true;
    const files = await Promise.all(
      Object.values(exports).map(async (path) => {
        const vendored = await Deno.readTextFile(new URL(`${version}/${path}`, folder));
        return vendored === await Deno.readTextFile(new URL(path, from));
      }),
    );
    return files.every((isSame) => isSame);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

async function registryResponds(): Promise<boolean> {
  const url = `${registry}/${standIns[0].scoped}/meta.json`;
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(5_000) });
    await response.body?.cancel();
    return response.ok;
  } catch {
    return false;
  }
}

async function install({ scoped, version, exports, from }: StandIn): Promise<void> {
  const folder = new URL(`${scoped}/`, vendor);
  await Deno.mkdir(new URL(`${version}/`, folder), { recursive: true });
  for (const path of Object.values(exports)) {
    await Deno.copyFile(new URL(path, from), new URL(`${version}/${path}`, folder));
  }
  await Deno.writeTextFile(
    new URL("meta.json", folder),
    JSON.stringify({ versions: { [version]: {} } }),
  );
  // Written last: isVendored() looks for it.
  await Deno.writeTextFile(
    new URL(`${version}_meta.json`, folder),
    JSON.stringify({ manifest: {}, exports }),
  );
}

const missing: StandIn[] = [];
for (const standIn of standIns) {
  if (!(await isVendored(standIn))) missing.push(standIn);
}
if (missing.length > 0 && !(await registryResponds())) {
  await Promise.all(missing.map(install));
  const names = missing.map((standIn) => standIn.scoped).join(" and ");
  console.error(
    `JSR cannot be reached: small stand-ins for ${names} are in vendor/ (delete it to try again).`,
  );
}
