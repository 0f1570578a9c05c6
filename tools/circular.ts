/**
 * Fails where modules of this project import one another in a circle: `deno run tools/circular.ts main.ts`.
 * Type-only imports count too: an arrow that points up is one even where it vanishes at run time.
 */

interface Graph {
  modules: { specifier: string; dependencies?: Edge[] }[];
}

interface Edge {
  code?: { specifier?: string };
  type?: { specifier?: string };
}

async function importsFrom(entry: string): Promise<Map<string, string[]>> {
  const { stdout, success } = await new Deno.Command(Deno.execPath(), {
    args: ["info", "--json", entry],
    stderr: "inherit",
  }).output();
  if (!success) throw new Error(`deno info ${entry} failed`);
  const graph: Graph = JSON.parse(new TextDecoder().decode(stdout));
  return new Map(graph.modules.map(({ specifier, dependencies }) => [
    specifier,
    (dependencies ?? []).flatMap(({ code, type }) => [code?.specifier, type?.specifier])
      .filter((target) => target?.startsWith("file:")) as string[],
  ]));
}

function findCircle(imports: Map<string, string[]>): string[] | undefined {
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

for (const entry of Deno.args) {
  const circle = findCircle(await importsFrom(entry));
  if (circle) {
    console.error(`Circular imports:\n  ${circle.join("\n  → ")}`);
    Deno.exit(1);
  }
}
