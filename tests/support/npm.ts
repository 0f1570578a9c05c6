/**
 * Installs the npm packages of a folder of `tests/npm/`, unless that is done. They are not in
 * `deno.json`, because then everyone who starts a server would download them.
 *
 * @returns the folder with `node_modules`
 */
export async function installNpmPackages(folder: string): Promise<URL> {
  const root = new URL(`../npm/${folder}/`, import.meta.url);
  // Test files run side by side: the first one installs the packages, and the others wait.
  using lock = await Deno.open(new URL("package-lock.json", root), { write: true });
  await lock.lock(true);
  if (!await isInstalled(root)) {
    const { success, stderr } = await new Deno.Command("npm", {
      args: ["ci", "--no-audit", "--no-fund"],
      cwd: root,
    }).output();
    if (!success) throw new Error(`npm ci failed: ${new TextDecoder().decode(stderr)}`);
  }
  return root;
}

/** Tells whether `node_modules` is as new as the list of packages. */
async function isInstalled(root: URL): Promise<boolean> {
  try {
    const installed = await Deno.stat(new URL("node_modules/.package-lock.json", root));
    const wanted = await Deno.stat(new URL("package-lock.json", root));
    return installed.mtime! >= wanted.mtime!;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
