/**
 * Makes JavaScript for browsers of TypeScript modules, without a build.
 *
 * @module
 */
import { stripTypeScriptTypes } from "node:module";

/** The specifier of an import or an export of a minified module. */
const SPECIFIER = /\b(from|import|import\()"([^"]+)"/g;

/** What {@linkcode link} understands of a module, beside its code. */
const IMPORT = /^import \{([\w\s,]*)\} from "([^"]+)";\n/gm;
const EXPORT_ALL = /^export \* from "([^"]+)";\n/gm;
const FUNCTION = /^export function (\w+)[^]*?^\}\n/gm;
const DOC_COMMENT = /^\/\*\*[^]*?\*\/\n/gm;
const EXPORT = /^export +((?:(?:async +)?function\b *\*?|class\b|const\b) *(\w+))/gm;

/** What makes a script a module for TypeScript, and for nobody else. */
const NO_EXPORT = "export{};";

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
 * Takes out comments and white space, and gives short names to what is not exported. The minifier
 * is loaded at the first call.
 *
 * @param javaScript a module
 * @param path its path, for the source map
 * @param source what developers see of it; each place of the module must be the same there
 */
export async function minify(
  javaScript: string,
  path: string,
  source: string = javaScript,
): Promise<Minified> {
  const terser = await import("terser");
  // Its other changes take twice the time, and save 2 percent.
  const options = { module: true, compress: false, sourceMap: { asObject: true } } as const;
  const { code, map } = await terser.minify({ [path]: javaScript }, options);
  return {
    code: code!.replace(NO_EXPORT, ""),
    map: JSON.stringify({ ...map as object, sourcesContent: [source] }),
  };
}

/**
 * Replaces what a minified module imports.
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
 * Links modules to one module without imports. Each becomes the body of a function, so that names
 * of two modules may be alike. Functions that no module uses are left out.
 *
 * @param entry the path of the module whose exports the result has
 * @param sources the TypeScript of each module by its path
 * @throws {SyntaxError} if a module has imports or exports of other forms than the client has, or
 * imports what is not there
 */
export function link(entry: string, sources: Readonly<Record<string, string>>): string {
  /** The names that each module exports. */
  const exported = new Map<string, string[]>();
  const all = Object.values(sources).join("").replaceAll(DOC_COMMENT, "");
  let linked = "";

  /** Leaves out the functions that no module uses, unless all exports of this one are exported. */
  function shake(path: string): string {
    const source = sources[path].replaceAll(DOC_COMMENT, "");
    if (path === entry || all.includes(`export * from "./${path.split("/").at(-1)}"`)) {
      return source;
    }
    return source.replaceAll(
      FUNCTION,
      (code, name) => all.match(new RegExp(`\\b${name}\\b`, "g"))!.length > 1 ? code : "",
    );
  }

  function add(path: string): void {
    if (exported.has(path)) return;
    if (!(path in sources)) throw new SyntaxError(`${path} is imported, and is not there`);
    const names: string[] = [];
    // Before its imports are: a circle finds no names here.
    exported.set(path, names);
    function addImport(specifier: string): string {
      const target = new URL(specifier, `file:///${path}`).pathname.slice(1);
      add(target);
      return target;
    }
    let imports = "";
    const results: string[] = [];
    const code = toJavaScript(shake(path), path)
      .replaceAll(IMPORT, (_, list: string, specifier) => {
        const target = addImport(specifier);
        const imported = list.split(",").map((name) => name.trim()).filter(Boolean);
        const missing = imported.find((name) => !exported.get(target)!.includes(name));
        if (missing) throw new SyntaxError(`${path}: ${target} exports no ${missing}`);
        imports += `const { ${imported.join(", ")} } = ${variable(target)};\n`;
        return "";
      })
      .replaceAll(EXPORT_ALL, (_, specifier) => {
        const target = addImport(specifier);
        names.push(...exported.get(target)!);
        results.push(`...${variable(target)}`);
        return "";
      })
      .replaceAll(EXPORT, (_, declaration, name) => {
        names.push(name);
        results.push(name);
        return declaration;
      });
    const [other] = /^(?:import|export)\b.*/m.exec(code) ?? [];
    if (other) throw new SyntaxError(`${path} cannot be linked: ${other}`);
    const result = `return { ${results.join(", ")} };\n`;
    linked += `const ${variable(path)} = (() => {\n${imports}${code}${result}})();\n`;
  }

  add(entry);
  return `${linked}export const { ${exported.get(entry)!.join(", ")} } = ${variable(entry)};\n`;
}

/** Makes the name of the variable that holds the exports of a module. */
function variable(path: string): string {
  return path.replaceAll(/\W/g, "_");
}
