/** Fails if a line of a .ts or .lua file is too long: `deno fmt` does not wrap comments. */
const MAX_BYTES = 100;

const encoder = new TextEncoder();

/**
 * Finds the lines that are too long.
 *
 * @param folder where to look; vendored packages and hidden folders are left out
 * @returns `FILE:LINE` for each
 */
export async function findLongLines(folder: string): Promise<string[]> {
  const found: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    const path = `${folder}/${name}`;
    if (isDirectory) {
      const isOurs = !name.startsWith(".") && name !== "vendor" && name !== "node_modules";
      if (isOurs) found.push(...await findLongLines(path));
    } else if (/\.(ts|lua)$/.test(name)) {
      const lines = (await Deno.readTextFile(path)).split("\n");
      const isLong = (line: string) => encoder.encode(line).length > MAX_BYTES;
      found.push(...lines.flatMap((line, i) => isLong(line) ? `${path}:${i + 1}` : []));
    }
  }
  return found.sort();
}

if (import.meta.main) {
  const found = await findLongLines(".");
  for (const place of found) console.error(`${place} has more than ${MAX_BYTES} bytes`);
  if (found.length > 0) Deno.exit(1);
}
