/**
 * The chart of CPU per delivery, as SVG, with a group of bars for each situation. The scale is
 * logarithmic, because the values differ by more than a factor of ten. The greys are legible on
 * white and on black.
 *
 * @module
 */
import { digits } from "./format.ts";
import { medians, type Results, situationsOf } from "./results.ts";

const COLORS: Readonly<Record<string, string>> = {
  JSON: "#2f81f7",
  text: "#79b8ff",
  Bun: "#d29922",
  ws: "#8957e5",
  "Socket.IO": "#db61a2",
  nchan: "#57ab5a",
};
const LABEL = "CPU per delivery by system";
const TITLE = "CPU per delivery, µs (less is better; each line doubles the value)";
const TEXT_COLOR = "#7d8590";

const WIDTH = 860, LEFT = 190, RIGHT = 60, TOP = 76;
const BAR = 11, GAP = 14;

/** Draws the results of the fan-out; returns `undefined` if it was not measured. */
export function drawChart(results: Results): string | undefined {
  const situations = situationsOf(results, "fan-out");
  const systems = Object.keys(COLORS).filter((system) =>
    situations.some((situation) => medians(results, "fan-out", situation, system))
  );
  if (systems.length === 0) return undefined;
  const cpu = (situation: string, system: string) =>
    medians(results, "fan-out", situation, system)?.cpu;
  const values = situations.flatMap((situation) =>
    systems.map((system) => cpu(situation, system)).filter((value) => value !== undefined)
  );
  const lowest = Math.floor(Math.log2(Math.min(...values))) - 0.5;
  const highest = Math.ceil(Math.log2(Math.max(...values)));
  const x = (value: number) =>
    LEFT + (Math.log2(value) - lowest) / (highest - lowest) * (WIDTH - LEFT - RIGHT);

  const groupHeight = systems.length * BAR + GAP;
  const height = TOP + situations.length * groupHeight + 26;
  const bottom = height - 22;
  const parts: string[] = [
    `<text x="0" y="16" class="title">${TITLE}</text>`,
  ];
  systems.forEach((system, i) => {
    const at = LEFT + i * 105;
    parts.push(
      `<rect x="${at}" y="32" width="11" height="11" rx="2" fill="${COLORS[system]}"/>`,
      `<text x="${at + 16}" y="42">${system}</text>`,
    );
  });
  for (let power = Math.ceil(lowest); power <= highest; power++) {
    const at = round(x(2 ** power));
    parts.push(
      `<line x1="${at}" x2="${at}" y1="${TOP - 8}" y2="${bottom}" class="line"/>`,
      `<text x="${at}" y="${height - 8}" text-anchor="middle">${2 ** power}</text>`,
    );
  }
  situations.forEach((situation, row) => {
    const top = TOP + row * groupHeight;
    const middle = top + systems.length * BAR / 2 + 4;
    parts.push(`<text x="${LEFT - 10}" y="${middle}" text-anchor="end">${situation}</text>`);
    systems.forEach((system, i) => {
      const value = cpu(situation, system);
      const y = top + i * BAR;
      const end = value === undefined ? LEFT : round(x(value));
      parts.push(
        `<rect x="${LEFT}" y="${y}" width="${round(end - LEFT)}" height="${
          BAR - 1
        }" rx="1.5" fill="${COLORS[system]}"/>`,
        `<text x="${end + 5}" y="${y + BAR - 2}" class="value">${
          value === undefined ? "not measured" : digits(value)
        }</text>`,
      );
    });
  });
  const attributes = `viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="${LABEL}"`;
  return `<svg xmlns="http://www.w3.org/2000/svg" ${attributes}>
<style>
text { font: 12px system-ui, sans-serif; fill: ${TEXT_COLOR}; }
.title { font-size: 14px; font-weight: 600; }
.value { font-size: 9px; }
.line { stroke: ${TEXT_COLOR}; stroke-opacity: 0.25; }
</style>
${parts.join("\n")}
</svg>
`;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
