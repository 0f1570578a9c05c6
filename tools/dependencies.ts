/**
 * Checks the imports of the project: they point down the layers, and never in a circle. Type-only
 * imports count too. To add a folder, add a line to one of the tables.
 */

/** The layers, top to bottom. A module may import from its own layer and from those below. */
const LAYERS = [
  "main.ts",
  "chat/mod.ts",
  "chat/workers/",
  "chat/instance.ts",
  "chat/http/",
  "chat/session/",
  "chat/rooms/",
  "chat/store/", // only the contract, not its subfolders
  "chat/protocol/",
];

/** The parts beside the layers: what each may import, and what may import it. */
const PARTS: Readonly<Record<string, { imports: string[]; importedBy: string[] }>> = {
  "chat/store/memory/": {
    imports: ["chat/store/", "chat/protocol/"],
    importedBy: ["chat/mod.ts", "chat/instance.ts"],
  },
  "chat/store/redis/": {
    imports: [
      "chat/store/",
      "chat/protocol/",
      "chat/config/",
      "chat/limits/",
      "chat/metrics/",
    ],
    importedBy: ["chat/mod.ts", "chat/instance.ts"],
  },
  "chat/config/": {
    imports: ["chat/auth/"],
    importedBy: [
      "main.ts",
      "chat/mod.ts",
      "chat/workers/",
      "chat/instance.ts",
      "chat/store/redis/",
    ],
  },
  "chat/auth/": {
    imports: ["chat/protocol/"],
    importedBy: [
      "chat/mod.ts",
      "chat/instance.ts",
      "chat/http/",
      "chat/session/",
      "chat/rooms/",
      "chat/config/",
    ],
  },
  "chat/limits/": {
    imports: ["chat/protocol/"],
    importedBy: [
      "chat/mod.ts",
      "chat/instance.ts",
      "chat/http/",
      "chat/session/",
      "chat/rooms/",
      "chat/store/redis/",
    ],
  },
  "chat/metrics/": {
    imports: [],
    importedBy: [
      "chat/mod.ts",
      "chat/instance.ts",
      "chat/http/",
      "chat/session/",
      "chat/rooms/",
      "chat/store/redis/",
    ],
  },
  "chat/client/": {
    imports: ["chat/protocol/"],
    importedBy: ["chat/http/", "web/"], // as text, to serve it
  },
  "web/": {
    imports: ["chat/client/", "chat/protocol/"],
    importedBy: ["chat/http/"], // as text, to serve it
  },
  "deno.json": { imports: [], importedBy: ["main.ts"] },
};

/** Packages that only one module may import. */
const PACKAGES: Readonly<Record<string, string>> = {
  "npm:ioredis@": "chat/store/redis/connections.ts",
};

/** The modules from which all others are reached. */
const ENTRIES = [
  "main.ts",
  "chat/http/page_worker.ts",
  "chat/client/client.ts",
  "web/main.ts",
  "web/service_worker.ts",
];

/** What each module imports; a module of the project is given by its path in it. */
export type Imports = ReadonlyMap<string, readonly string[]>;

/**
 * Finds imports that the tables above do not allow, and one circle.
 *
 * @param imports what each module of the project imports
 * @returns a line for each
 */
export function findViolations(imports: Imports): string[] {
  const violations: string[] = [];
  for (const [module, targets] of imports) {
    const from = partOf(module);
    if (!from) violations.push(`${module} is in no layer: add its folder to the table`);
    for (const target of targets) {
      const to = partOf(target);
      if (from && to && !mayImport(from, to)) {
        violations.push(`${module} imports ${target}: ${from} may not import ${to}`);
      }
      for (const [name, owner] of Object.entries(PACKAGES)) {
        if (target.startsWith(name) && module !== owner) {
          violations.push(`${module} imports ${target}: only ${owner} may`);
        }
      }
    }
  }
  const circle = findCircle(imports);
  if (circle) violations.push(`modules import each other: ${circle.join(" → ")}`);
  return violations;
}

function mayImport(from: string, to: string): boolean {
  if (from === to) return true;
  if (from in PARTS && !PARTS[from].imports.includes(to)) return false;
  if (to in PARTS) return PARTS[to].importedBy.includes(from);
  return from in PARTS || LAYERS.indexOf(from) < LAYERS.indexOf(to);
}

/** Finds the file or the innermost folder of the tables that a module belongs to. */
function partOf(module: string): string | undefined {
  return [...LAYERS, ...Object.keys(PARTS)]
    .filter((part) => part.endsWith("/") ? module.startsWith(part) : module === part)
    .sort((a, b) => b.length - a.length)[0];
}

function findCircle(imports: Imports): string[] | undefined {
  const done = new Set<string>();
  const path: string[] = [];
  function visit(module: string): string[] | undefined {
    if (path.includes(module)) return [...path.slice(path.indexOf(module)), module];
    if (done.has(module)) return;
    path.push(module);
    for (const target of imports.get(module) ?? []) {
      const circle = visit(target);
      if (circle) return circle;
    }
    path.pop();
    done.add(module);
  }
  for (const module of imports.keys()) {
    const circle = visit(module);
    if (circle) return circle;
  }
}

interface ModuleGraph {
  modules: { specifier: string; dependencies?: Dependency[] }[];
}

interface Dependency {
  code?: { specifier?: string };
  type?: { specifier?: string };
}

/** Reads what each module of the project imports, with `deno info`. */
export async function readImports(): Promise<Imports> {
  const root = new URL("..", import.meta.url).href;
  const imports = new Map<string, string[]>();
  for (const entry of ENTRIES) {
    const { stdout, success } = await new Deno.Command(Deno.execPath(), {
      args: ["info", "--json", new URL(entry, root).href],
      stderr: "inherit",
    }).output();
    if (!success) throw new Error(`deno info ${entry} failed`);
    const { modules }: ModuleGraph = JSON.parse(new TextDecoder().decode(stdout));
    for (const { specifier, dependencies = [] } of modules) {
      if (!specifier.startsWith(root)) continue;
      const targets = dependencies.flatMap(({ code, type }) =>
        code?.specifier ?? type?.specifier ?? []
      );
      imports.set(specifier.replace(root, ""), targets.map((target) => target.replace(root, "")));
    }
  }
  return imports;
}

if (import.meta.main) {
  const violations = findViolations(await readImports());
  for (const violation of violations) console.error(violation);
  if (violations.length > 0) Deno.exit(1);
}
