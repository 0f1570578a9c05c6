import { createHash } from "node:crypto";
import { ASK_EACH_TIME, type Asset, KEEP, makeAsset } from "./asset.ts";
import { makeClientModule } from "./client_module.ts";
import { type Minified, minify, replaceSpecifiers, toJavaScript } from "./javascript.ts";
import { PAGE_FILES } from "./page_files.ts";

/** What the page may load and do: nothing that does not come from this server. */
const PAGE_HEADERS = {
  "content-security-policy": [
    "default-src 'none'",
    // Browsers since 2022 count the WebSocket of the same host as `'self'`.
    "connect-src 'self'",
    "img-src 'self'",
    "manifest-src 'self'",
    "script-src 'self'",
    "style-src 'self'",
    "worker-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types service-worker",
  ].join("; "),
  "cross-origin-opener-policy": "same-origin",
  "permissions-policy":
    "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
  "referrer-policy": "no-referrer",
};

/** Whatever depends on the version of the page has an address below this one. */
const FOLDER = "/web/";

/** The page as it is served. */
export interface Page {
  /** Changes with each of the files. */
  readonly hash: string;
  /** Where it begins. */
  readonly index: Asset;
  readonly serviceWorker: Asset;
  /** The client's module, for pages of others. */
  readonly client: Asset;
  /** Each file by its path below `/web/{hash}/`. */
  readonly files: ReadonlyMap<string, Asset>;
  /** The source maps of the modules by their paths there. Only developers' tools load them. */
  readonly maps: ReadonlyMap<string, Asset>;
}

/**
 * Makes a page of its files.
 *
 * @param sources the files by their paths: `index.html`, `service_worker.ts`, modules and others
 * @throws {SyntaxError} if a module is not erasable, or a file refers to one that is not there
 */
export async function makePage(
  sources: Readonly<Record<string, string>> = PAGE_FILES,
): Promise<Page> {
  const { "index.html": index, "service_worker.ts": serviceWorker, ...others } = sources;
  const texts = new Map<string, string>();
  const mapTexts = new Map<string, string>();
  function addModule(path: string, { code, map }: Minified): void {
    texts.set(path, code);
    mapTexts.set(`${path}.map`, map);
  }
  addModule("client.js", await minify(makeClientModule(), "client.js"));
  for (const [path, source] of Object.entries(others)) {
    // Without a thread of its own, the chat goes on in between.
    await new Promise((resolve) => setTimeout(resolve, 0));
    if (path.endsWith(".ts")) addModule(served(path), await makeModule(path, source, others));
    else texts.set(path, path.endsWith(".css") ? compactCss(source) : source);
  }
  const worker = await minify(toJavaScript(serviceWorker, "service_worker.ts"), "sw.js");
  const hash = createHash("sha256")
    .update(JSON.stringify([index, worker.code, ...texts, ...mapTexts, PAGE_HEADERS]))
    .digest("base64url")
    .slice(0, 16);
  const folder = `${FOLDER}${hash}/`;
  const html = fillIndex(index, folder, texts);
  const files = new Map<string, Asset>();
  const maps = new Map<string, Asset>();
  for (const [path, text] of texts) {
    const map = `${path}.map`;
    const headers = mapTexts.has(map) ? { ...KEEP, sourcemap: folder + map } : KEEP;
    files.set(path, await makeAsset(path, text, headers));
  }
  for (const [path, text] of mapTexts) maps.set(path, await makeAsset(path, text, KEEP));
  // The service worker keeps this one: it is of the same version as the other files.
  files.set("index.html", await makeAsset("index.html", html, { ...PAGE_HEADERS, ...KEEP }));
  const constants = `const FOLDER=${JSON.stringify(folder)},FILES=${
    JSON.stringify([...files.keys()])
  };`;
  return {
    hash,
    files,
    maps,
    index: await makeAsset("index.html", html, {
      ...PAGE_HEADERS,
      ...ASK_EACH_TIME,
      vary: "accept, accept-encoding",
    }),
    serviceWorker: await makeAsset(
      "sw.js",
      constants + worker.code,
      ASK_EACH_TIME,
    ),
    client: await makeAsset("client.js", texts.get("client.js")!, ASK_EACH_TIME),
  };
}

/** Takes out comments, and white space that has no meaning. Texts in quotes stay as they are. */
export function compactCss(source: string): string {
  return source
    .replace(/("[^"]*")|\/\*.*?\*\/|\s+/gs, (_, text) => text ?? " ")
    .replace(/("[^"]*")| *([{};,>]) *|(:) +/g, (_, text, sign, colon) => text ?? sign ?? colon)
    .replaceAll(";}", "}").trim();
}

function served(path: string): string {
  return path.replace(/\.ts$/, ".js");
}

/** Makes the JavaScript of a module, whose imports are served too. */
function makeModule(
  path: string,
  source: string,
  sources: Readonly<Record<string, string>>,
): Promise<Minified> {
  const javaScript = replaceSpecifiers(toJavaScript(source, path), (specifier) => {
    if (specifier === "../chat/client/client.ts") return "./client.js";
    const target = new URL(specifier, `file:///${path}`).pathname.slice(1);
    if (target in sources) return served(specifier);
    throw new SyntaxError(`${path} imports ${specifier}, which the page does not have`);
  });
  return minify(javaScript, path, source);
}

/** Fills in the versioned addresses of the files, and preloads the modules that `main.ts` needs. */
function fillIndex(html: string, folder: string, texts: ReadonlyMap<string, string>): string {
  const preloaded = new Set(["main.js"]);
  for (const path of preloaded) {
    for (const [, target] of texts.get(path)?.matchAll(/\bfrom"([^"]+)"/g) ?? []) {
      preloaded.add(new URL(target, `file:///${path}`).pathname.slice(1));
    }
  }
  const links = [...preloaded]
    .map((path) => `<link rel="modulepreload" href="${folder}${path}">`);
  return html
    .replaceAll(/>\s+</g, "><")
    .replace(/(?=<script type="module")/, links.join(""))
    .replaceAll(/\b(href|src)="([^"/#]+)"/g, (_, attribute, path) => {
      if (texts.has(served(path))) return `${attribute}="${folder}${served(path)}"`;
      throw new SyntaxError(`index.html refers to ${path}, which the page does not have`);
    });
}
