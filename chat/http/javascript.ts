/**
 * Makes JavaScript for browsers of TypeScript modules, without a build.
 *
 * @module
 */
import { stripTypeScriptTypes } from "node:module";
import * as terser from "terser";

/** The specifier of an import or an export. */
const SPECIFIER = /\b(from |import |import\()"([^"]+)"/g;

/** What {@linkcode link} understands of a module, beside its code. */
const FROM = /^(?:import \{(?:\s*\w+(?:,|\s*(?=\})))*\s*\}|export \*) from "([^"]+)";\n/gm;
const EXPORT_ALL = /^export \* from "([^"]+)";\n/gm;
const DECLARATION = /^(?:export +)?((?:(?:async +)?function\b *\*?|class\b|const\b) *(\w+))/gm;

/** What makes a script a module for TypeScript, and for nobody else. */
const NO_EXPORT = /^export \{\};$/m;

/**
 * Takes out the types. Everything else stays where it is.
 *
 * @param source a module in erasable syntax: no enums, namespaces or parameter properties
 * @throws {SyntaxError} if the syntax is not erasable
 */
export function toJavaScript(source: string, path: string): string {
  const javaScript = stripTypeScriptTypes(source);
  if (javaScript.length !== source.length) throw new SyntaxError(`${path}: characters were lost`);
  return javaScript;
}

/** JavaScript for browsers, and where each place of it was in its source. */
export interface Minified {
  readonly code: string;
  /** A source map, as JSON. */
  readonly map: string;
}

/**
 * Takes out comments, white space and what is not used, and gives short names to what is not
 * exported.
 *
 * @param javaScript a module, or with an empty export a script
 * @param path its path, for the source map
 * @param source what developers see of it; each place of the module must be the same there
 */
export async function minify(
  javaScript: string,
  path: string,
  source: string = javaScript,
): Promise<Minified> {
  const { code, map } = await terser.minify({ [path]: javaScript.replace(NO_EXPORT, "") }, {
    module: true,
    // The names of a script would be those of the whole page.
    enclose: NO_EXPORT.test(javaScript),
    sourceMap: { asObject: true },
  });
  return {
    code: code!,
    map: JSON.stringify({ ...map as object, sourcesContent: [source] }),
  };
}

/**
 * Replaces what a module imports. All other lines stay where they are.
 *
 * @param replace gives the new specifier; it may throw
 */
export function replaceSpecifiers(
  javaScript: string,
  replace: (specifier: string) => string,
): string {
  return javaScript.replaceAll(SPECIFIER, (_, before, from) => `${before}"${replace(from)}"`);
}

/**
 * Links modules to one module without imports. The minifier leaves out what it does not use.
 *
 * @param entry the path of the module whose exports the result has
 * @param sources the TypeScript of each module by its path
 * @throws {SyntaxError} if a module has imports or exports of other forms than the client has, or
 * imports what is not there, or if two modules have the same name for something
 */
export function link(entry: string, sources: Readonly<Record<string, string>>): string {
  const exported = new Set([entry]);
  for (const path of exported) {
    for (const [, specifier] of (sources[path] ?? "").matchAll(EXPORT_ALL)) {
      exported.add(resolve(specifier, path));
    }
  }
  const added = new Set<string>();
  /** The module that has each name. */
  const owners = new Map<string, string>();
  let linked = "";

  /** Adds a module after those that it imports. */
  function add(path: string): void {
    if (added.has(path)) return;
    if (!(path in sources)) throw new SyntaxError(`${path} is imported, and is not there`);
    added.add(path);
    const code = toJavaScript(sources[path], path).replaceAll(FROM, (_, specifier) => {
      add(resolve(specifier, path));
      return "";
    });
    for (const [, , name] of code.matchAll(DECLARATION)) {
      const owner = owners.get(name);
      if (owner) throw new SyntaxError(`${path} declares ${name}, as ${owner} does`);
      owners.set(name, path);
    }
    const withoutExports = code.replaceAll(DECLARATION, "$1");
    const [other] = /^(?:import|export)\b.*/m.exec(withoutExports) ?? [];
    if (other) throw new SyntaxError(`${path} cannot be linked: ${other}`);
    linked += exported.has(path) ? code : withoutExports;
  }

  add(entry);
  return linked;
}

/** Returns the path of a module that another one imports. */
function resolve(specifier: string, importer: string): string {
  return new URL(specifier, `file:///${importer}`).pathname.slice(1);
}
