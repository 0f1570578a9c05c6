// TEMPORARY while the page is being written: all of web/. Then each is imported as text.
const FOLDER = new URL("../../web/", import.meta.url);

function read(folder: string): [string, string][] {
  return [...Deno.readDirSync(new URL(folder, FOLDER))].flatMap(({ name, isDirectory }) => {
    const path = folder + name;
    if (isDirectory) return read(`${path}/`);
    return [[path, Deno.readTextFileSync(new URL(path, FOLDER))]];
  });
}

/** The sources of the page by their paths in `web/`. */
export const PAGE_FILES: Readonly<Record<string, string>> = Object.fromEntries(
  read("").filter(([path]) => path !== "deno.json"),
);
