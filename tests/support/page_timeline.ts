import type { Page } from "./browser.ts";

/**
 * Runs in the page: replaces it with a timeline and a list of people that no server is behind. The
 * test acts on them with the functions that this makes global. If it sets `hasOlder`, there are 400
 * older messages; they come when the promise `hold` resolves.
 */
const MOUNT = `async () => {
  const script = document.querySelector("link[href$='/timeline.js']").href;
  const load = (name) => import(script.replace("timeline.js", name));
  const [{ Timeline }, { People }, { h }] =
    await Promise.all(["timeline.js", "people.js", "dom.js"].map(load));
  const NOW = Date.now();
  // A message every five minutes, until a day ago.
  const timeOf = (i) => NOW - 86_400_000 - (400 - i) * 300_000;
  const older = Array.from({ length: 400 }, (_, i) => ({
    type: "message", id: timeOf(i) + "-0", prev: "0-0", user: ["ben", "cleo"][(i >> 2) & 1],
    text: "old " + i + " and words".repeat(i % 7 * 9),
  }));
  const calls = [];
  const timeline = new Timeline({
    room: "red",
    self: "anna",
    async loadOlder(before) {
      calls.push("loadOlder");
      await new Promise((resolve) => setTimeout(resolve, 5));
      await globalThis.hold;
      if (globalThis.isBroken) throw new Error("broken on purpose");
      if (!globalThis.hasOlder) return { messages: [], before: null };
      const found = older.findIndex(({ id }) => id === before);
      const end = found < 0 ? older.length : found;
      const messages = older.slice(Math.max(0, end - 50), end);
      return { messages, before: end > 50 ? messages[0].id : null };
    },
    onRead: () => calls.push("read"),
    onUser: (user) => calls.push("user " + user),
    hasMessageMenu: ({ user }) => user === "anna",
    onMessageMenu: ({ text }) => calls.push("menu " + text),
    onRetry: (ref) => calls.push("retry " + ref),
    onDiscard: (ref) => calls.push("discard " + ref),
  });
  const people = new People({ self: "anna", onUser: (user) => calls.push("user " + user) });
  const box = h("textarea", { class: "composer-box", "aria-label": "box" });
  document.getElementById("main").replaceChildren(
    h("section", { class: "conversation" }, timeline.element, h("div", { class: "composer" }, box)),
  );
  document.getElementById("people").hidden = false;
  document.getElementById("people").replaceChildren(people.element);
  const log = document.querySelector("[role=log]");
  const edge = log.getBoundingClientRect().top;
  let count = 0;
  Object.assign(globalThis, {
    timeline, people, box, log, calls, older,
    all: (selector) => [...document.querySelectorAll(selector)],
    texts: (selector) => all(selector).map(({ textContent }) => textContent),
    /** Adds a message of now, and returns its id. */
    say(user, text, { isNew, ...fields } = {}) {
      const message = { type: "message", id: NOW + "-" + count++, prev: "0-0", user, text };
      timeline.add({ ...message, ...fields }, isNew);
      return message.id;
    },
    /** Resolves when what has changed is rendered, and its sizes were observed. */
    rendered: async () => {
      for (let i = 0; i < 3; i++) await new Promise(requestAnimationFrame);
    },
    gapAtEnd: () => log.scrollHeight - log.clientHeight - log.scrollTop,
    /** Where each message in view is, by its id. */
    places: () => Object.fromEntries(all("[data-id]").flatMap((message) => {
      const { bottom } = message.getBoundingClientRect();
      const top = log.getBoundingClientRect().top;
      const isInView = bottom > top && bottom < top + log.clientHeight;
      return isInView ? [[message.dataset.id, bottom]] : [];
    })),
    async scrollBy(px) {
      log.scrollTop += px;
      await rendered();
    },
  });
  timeline.show(true);
  await rendered();
}`;

/** Opens the page of a server, and replaces it with a timeline and a list of people. */
export async function mountTimeline(page: Page, origin: string): Promise<void> {
  await page.goto(`${origin}/r/red`);
  await page.evaluate(`(${MOUNT})()`);
}
