/**
 * Makes JavaScript for browsers of TypeScript modules, without a build.
 *
 * @module
 */
import { stripTypeScriptTypes } from "node:module";

/** The specifier of an import or an export, once the types are gone. */
const SPECIFIER = /\b(from |import |import\()"([^"]+)"/g;

/** What {@linkcode link} understands of a module, beside its code. */
const IMPORT = /^import \{([\w\s,]*)\} from "([^"]+)";\n/gm;
const EXPORT_ALL = /^export \* from "([^"]+)";\n/gm;
const FUNCTION = /^export function (\w+)[^]*?^\}\n/gm;
const DOC_COMMENT = /^\/\*\*[^]*?\*\/\n/gm;
const EXPORT = /^export +((?:(?:async +)?function\b *\*?|class\b|const\b) *(\w+))/gm;

/** What makes a script a module for TypeScript, and for nobody else. */
const NO_EXPORT = "export {};\n";

/**
 * Takes out the types, and what {@linkcode compact} does.
 *
 * @param source a module in erasable syntax: no enums, namespaces or parameter properties
 * @throws {SyntaxError} if the syntax is not erasable
 */
export function toJavaScript(source: string, path: string): string {
  // It has a space for each character of a type: one for all of them is enough.
  const blanked = stripTypeScriptTypes(source);
  if (blanked.length !== source.length) throw new SyntaxError(`${path}: characters were lost`);
  const javaScript = blanked.replaceAll(
    / +/g,
    (spaces, at) => spaces === source.slice(at, at + spaces.length) ? spaces : " ",
  );
  return compact(javaScript, path).replace(NO_EXPORT, "");
}

/**
 * Takes out comments that have lines of their own, indentation and blank lines.
 *
 * @param source a script or a style sheet
 * @param path its path, for errors
 * @throws {SyntaxError} if a template has several lines, in which all of this has a meaning
 */
export function compact(source: string, path: string): string {
  const lines: string[] = [];
  let isComment = false;
  for (const line of source.split("\n")) {
    const code = line.trim();
    const fail = (what: string) => {
      throw new SyntaxError(`${path}: ${what}: ${code}`);
    };
    if (isComment || code.startsWith("/*")) {
      const end = code.indexOf("*/");
      if (end >= 0 && end < code.length - 2) fail("there is code after a comment");
      isComment = end < 0;
    } else if (code !== "" && !code.startsWith("//")) {
      if (code.split("`").length % 2 === 0) fail("a template has several lines");
      lines.push(code);
    }
  }
  return lines.join("\n") + "\n";
}

/**
 * Replaces what a module imports.
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
