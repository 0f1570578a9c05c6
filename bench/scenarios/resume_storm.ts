import { type Bench, coreShares, runSequentially, type Sample, type Scenario } from "../bench.ts";
import { type ClientGroup, includes } from "../client_group.ts";
import { digits } from "../format.ts";
import { makeFrame, TEXT } from "../frames.ts";
import { json, type System } from "../systems.ts";

/** How many messages each client has missed. */
const MISSED = 100;

/**
 * The clients have this long to receive the missed messages, and the publisher to receive its own.
 */
const TIMEOUT_MS = 10_000;

const RECOVERED = new TextEncoder().encode('"recovered":true');
/** Stands before and after the number of a message, and nowhere else. */
const DELIMITER = "~".charCodeAt(0);

/** All clients reconnect at the same moment. */
export const resumeStorm: Scenario = {
  name: "resume-storm",
  systems: [json],
  description:
    `JSON clients that have missed ${MISSED} messages all connect with \`since\` at the same ` +
    "moment. The time runs until every client has received all missed messages.",
  columns: [
    ["Time until all clients are up to date, s", ({ elapsedMs }) => digits(elapsedMs / 1000)],
    ["Total server CPU, s", ({ cpuMs }) => digits(cpuMs / 1000)],
    ["Clients not recovered", ({ notRecovered }) => notRecovered > 0 ? `${notRecovered}` : "none"],
    ["Messages lost / duplicated", ({ lost, duplicated }) => `${lost} / ${duplicated}`],
  ],
  measure: runSequentially(async (system: System, bench: Bench): Promise<Sample[]> => {
    const clients = bench.isQuick ? 200 : 1_000;
    await using server = await bench.startAlone(system);
    const publisher = server.addClients("writer");
    publisher.join(1);
    const [since] = publishAll(publisher, ["the last message that the clients have seen"]);
    publishAll(publisher, Array.from({ length: MISSED }, (_, i) => `~${i}~`));

    const group = server.addClients();
    let recovered = 0, complete = 0;
    const received = new Uint8Array(clients * MISSED);
    const counts = new Int32Array(clients);
    group.onText = ({ index }, bytes, start, end) => {
      if (includes(bytes, start, end, RECOVERED)) recovered++;
      for (let at = start; at < end; at++) {
        if (bytes[at] !== DELIMITER) continue;
        let message = 0;
        while (bytes[++at] !== DELIMITER) message = message * 10 + bytes[at] - 48;
        received[index * MISSED + message]++;
        if (++counts[index] === MISSED) complete++;
      }
    };
    const from = bench.readCpu(server);
    group.join(clients, { concurrency: clients, since });
    for (const deadline = performance.now() + TIMEOUT_MS; complete < clients;) {
      if (performance.now() > deadline) break;
      group.poll(100);
    }
    const to = bench.readCpu(server);
    group.pollUntilQuiet(200);
    const values = {
      elapsedMs: to.at - from.at,
      cpuMs: to.server - from.server,
      notRecovered: clients - recovered,
      lost: received.filter((times) => times === 0).length,
      duplicated: received.reduce((sum, times) => sum + Math.max(0, times - 1), 0),
      ...coreShares(from, to),
    };
    return [{ situation: `${clients.toLocaleString("en")} clients`, values }];
  }),
};

/** Publishes texts, and returns the ids of their messages. */
function publishAll(publisher: ClientGroup, texts: string[]): string[] {
  const ids: string[] = [];
  publisher.onText = (_, bytes, start, end) => {
    for (const line of new TextDecoder().decode(bytes.subarray(start, end)).split("\n")) {
      const { type, id } = JSON.parse(line);
      if (type === "message") ids.push(id);
    }
  };
  for (const text of texts) {
    const frame = makeFrame(TEXT, new TextEncoder().encode(publisher.protocol.publish(text)));
    publisher.send(publisher.clients[0], frame);
  }
  for (const deadline = performance.now() + TIMEOUT_MS; ids.length < texts.length;) {
    if (performance.now() > deadline) {
      throw new Error("the publisher did not receive its own messages");
    }
    publisher.poll(100);
  }
  return ids;
}
