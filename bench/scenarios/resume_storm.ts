import { type Bench, oneByOne, type Sample, type Scenario, shares } from "../bench.ts";
import { type Crowd, includes } from "../crowd.ts";
import { digits } from "../format.ts";
import { makeFrame, TEXT } from "../frames.ts";
import { json, type System } from "../systems.ts";

/** So many messages everyone has missed. */
const MISSED = 100;

const RECOVERED = new TextEncoder().encode('"recovered":true');
const MARK = "~".charCodeAt(0);

/** Everyone comes back at the same moment. */
export const resumeStorm: Scenario = {
  name: "resume-storm",
  systems: [json],
  about:
    `JSON clients connect at the same moment with \`since\`, ${MISSED} messages behind: until ` +
    "each of them has all of these.",
  columns: [
    ["Until everyone is up to date, s", ({ elapsed }) => digits(elapsed / 1000)],
    ["Server CPU in all, s", ({ cpuMs }) => digits(cpuMs / 1000)],
    ["Not recovered", ({ unrecovered }) => unrecovered > 0 ? `${unrecovered}` : "none"],
    ["Messages lost / repeated", ({ lost, repeated }) => `${lost} / ${repeated}`],
  ],
  measure: oneByOne(async (system: System, bench: Bench): Promise<Sample[]> => {
    const clients = bench.isQuick ? 200 : 1_000;
    await using server = await bench.start(system);
    const writer = server.crowd("writer");
    writer.join(1);
    const [since] = sayAll(writer, ["the last that they saw"]);
    sayAll(writer, Array.from({ length: MISSED }, (_, i) => `~${i}~`));

    const crowd = server.crowd();
    let recovered = 0, complete = 0;
    const heard = new Uint8Array(clients * MISSED);
    const counts = new Int32Array(clients);
    crowd.hear = ({ index }, bytes, start, end) => {
      if (includes(bytes, start, end, RECOVERED)) recovered++;
      for (let at = start; at < end; at++) {
        if (bytes[at] !== MARK) continue;
        let message = 0;
        while (bytes[++at] !== MARK) message = message * 10 + bytes[at] - 48;
        heard[index * MISSED + message]++;
        if (++counts[index] === MISSED) complete++;
      }
    };
    const from = bench.cpu(server);
    crowd.join(clients, { atOnce: clients, since });
    for (const giveUp = performance.now() + 10_000; complete < clients;) {
      if (performance.now() > giveUp) break;
      crowd.pump(100);
    }
    const to = bench.cpu(server);
    crowd.pumpUntilQuiet(200);
    const values = {
      elapsed: to.at - from.at,
      cpuMs: to.server - from.server,
      unrecovered: clients - recovered,
      lost: heard.filter((times) => times === 0).length,
      repeated: heard.reduce((sum, times) => sum + Math.max(0, times - 1), 0),
      ...shares(from, to),
    };
    return [{ situation: `${clients.toLocaleString("en")} clients`, values }];
  }),
};

/** Says one text after the other; gives their ids. */
function sayAll(writer: Crowd, texts: string[]): string[] {
  const ids: string[] = [];
  writer.hear = (_, bytes, start, end) => {
    for (const line of new TextDecoder().decode(bytes.subarray(start, end)).split("\n")) {
      const { type, id } = JSON.parse(line);
      if (type === "message") ids.push(id);
    }
  };
  for (const text of texts) {
    const frame = makeFrame(TEXT, new TextEncoder().encode(writer.dialect.say(text)));
    writer.send(writer.clients[0], frame);
  }
  for (const giveUp = performance.now() + 10_000; ids.length < texts.length;) {
    if (performance.now() > giveUp) throw new Error("what was said to be missed did not come back");
    writer.pump(100);
  }
  return ids;
}
