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
    exports: { "./status": "./status.ts" },
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

async function exists(url: URL): Promise<boolean> {
  return await Deno.stat(url).then(() => true, () => false);
}

async function isVendored({ scoped, version }: StandIn): Promise<boolean> {
  return await exists(new URL(`${scoped}/${version}_meta.json`, vendor));
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
