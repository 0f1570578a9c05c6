import { assert, assertMatch } from "@std/assert";
import { type Instance, messageOf } from "./instance.ts";
import { until } from "./wait.ts";

/** One row of the fault table in docs/operations.md. */
export interface FaultRow {
  readonly fault: string;
  /** Matches what `/readyz` says while the fault lasts. */
  readonly readiness: RegExp;
  /** Matches each of the lines of the log, in order. */
  readonly lines: readonly RegExp[];
}

/** What the placeholders of the page stand for. */
const PLACEHOLDERS: Readonly<Record<string, string>> = {
  ID: "[\\da-f]{12}",
  N: "\\d+",
  PORT: "\\d+",
  HOST: "\\S+",
  KEY: "\\S+",
  VERSION: "\\S+",
  POLICY: "\\S+",
  "…": ".*",
};

const page = await Deno.readTextFile(new URL("../../docs/operations.md", import.meta.url));

/** The rows of the fault table. */
export const FAULTS: readonly FaultRow[] = /^\| fault .*\n\|.*\n((?:\|.*\n)+)/m.exec(page)![1]
  .trim().split("\n").map((row) => {
    const [fault, , readiness, log] = row.split("|").slice(1).map((cell) => cell.trim());
    return {
      fault: fault.replaceAll("`", ""),
      readiness: quoted(readiness)[0] ?? /^$/,
      lines: quoted(log),
    };
  });

function quoted(cell: string): RegExp[] {
  return [...cell.matchAll(/`([^`]+)`/g)].map(([, line]) => toPattern(line));
}

function toPattern(line: string): RegExp {
  const escaped = line.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&");
  const source = escaped.replaceAll(
    /\b(?:ID|N|PORT|HOST|KEY|VERSION|POLICY)\b|…/g,
    (placeholder) => PLACEHOLDERS[placeholder],
  );
  return new RegExp(`^${source}$`);
}

/** Returns the row of a fault. Each row has a test that calls this with its fault. */
export function rowOf(fault: string): FaultRow {
  const row = FAULTS.find((row) => row.fault === fault);
  assert(row, `docs/operations.md has no row for ${fault}`);
  return row;
}

/** Waits until an instance has logged each line of a row. Each of them is logged once. */
export async function assertLogged(instance: Instance, lines: readonly RegExp[]): Promise<void> {
  const messages = () => instance.output.all.map(messageOf);
  for (const line of lines) {
    await until(() => messages().some((message) => line.test(message)), 20).catch((cause) => {
      throw new Error(`${line} is not in\n${messages().join("\n")}`, { cause });
    });
  }
}

/** Waits until `/readyz` of an instance says what the row says. */
export async function assertNotReady(instance: Instance, { readiness }: FaultRow): Promise<void> {
  let text = "";
  await until(async () => {
    const response = await fetch(`${instance.http}/readyz`);
    text = (await response.text()).trim();
    return response.status === 503 && readiness.test(text);
  }, 100).catch(() => assertMatch(text, readiness));
}
