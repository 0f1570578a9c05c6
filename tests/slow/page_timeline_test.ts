import { assert, assertEquals } from "@std/assert";
import { type Page, startChromium, untilTrue } from "../support/browser.ts";
import { startHttpServer } from "../support/http_server.ts";
import { mountTimeline } from "../support/page_timeline.ts";

/** More rows are never in the document, even in a view of 2,000 pixels. */
const MAX_ROWS = 450;

Deno.test("the timeline and the list of people", async (t) => {
  await using server = await startHttpServer();
  await using browser = await startChromium();
  const step = (name: string, check: (page: Page) => Promise<void>) =>
    t.step(name, async () => {
      const page = await browser.newPage();
      await page.setViewportSize({ width: 1280, height: 800 });
      await mountTimeline(page, server.origin);
      await check(page);
      await page.close();
    });
  await step("10,000 messages: few rows, all there in order, back to the beginning", checkMany);
  await step("the place where one reads stays", checkPlace);
  await step("the end stays in view, until one scrolls up", checkEnd);
  await step("what is new: line, count and what is read out", checkNew);
  await step("older messages: failure, retry, beginning", checkOlder);
  await step("hostile texts are shown as texts", checkHostile);
  await step("pending, failed, removed, presence, gap", checkItems);
  await step("what is read and who joins, at the same time", checkSameTime);
  await step("a message that is removed while it is read", checkRemovedMeanwhile);
  await step("a room that was not shown", checkHidden);
  await step("memory is bounded while one reads above", checkMemory);
  await step("keyboard", checkKeyboard);
  await step("5,000 people", checkPeople);
});

async function checkMany(page: Page): Promise<void> {
  await page.setViewportSize({ width: 1280, height: 2000 });
  await page.evaluate("globalThis.hasOlder = true");
  const rows = await page.evaluate<number>(`(async () => {
    let most = 0;
    for (let i = 0; i < 10_000; i++) {
      say("ben", "message " + i);
      if (i % (i < 1_000 ? 20 : 500) === 0) {
        await rendered();
        most = Math.max(most, all(".row").length);
      }
    }
    await rendered();
    return most;
  })()`);
  assert(rows > 100 && rows < MAX_ROWS, `${rows}`);
  const end = await page.evaluate<string[]>("texts('.message-text').slice(-2)");
  assertEquals(end, ["message 9998", "message 9999"]);
  assert(await page.evaluate("gapAtEnd() < 1"));

  // Not all are in memory. Those that are, and then those that the server has, come without a gap.
  const seen = await page.evaluate<{ newest: number[]; most: number; older: number }>(
    `(async () => {
    const seen = new Set();
    let most = 0;
    for (let isAtStart = false; !isAtStart;) {
      isAtStart = log.scrollTop === 0 && texts(".older")[0].includes("beginning");
      for (const text of texts(".message-text").reverse()) seen.add(text);
      most = Math.max(most, all(".row").length);
      await scrollBy(-5 * log.clientHeight);
    }
    const newest = [...seen].filter((text) => text.startsWith("message"))
      .map((text) => Number(text.slice(8)));
    return { newest, most, older: [...seen].filter((text) => text.startsWith("old")).length };
  })()`,
  );
  assert(seen.most < MAX_ROWS, `${seen.most}`);
  assertEquals(seen.older, 400);
  assert(seen.newest.length > 3_000 && seen.newest.length < 9_000, `${seen.newest.length}`);
  const sorted = seen.newest.toSorted((one, other) => other - one);
  assertEquals(sorted, sorted.map((_, i) => 9_999 - i));
}

async function checkPlace(page: Page): Promise<void> {
  await page.evaluate("globalThis.hasOlder = true");
  await page.evaluate(`(async () => {
    for (const message of older.slice(-50)) timeline.add(message, false);
    for (let i = 0; i < 60; i++) say("ben", "message " + i + " of many words".repeat(i % 9 * 4));
    await rendered();
    await scrollBy(-1500);
  })()`);
  /** Does something, and asserts that nothing that stayed in view has moved. */
  async function stays(what: string): Promise<void> {
    const moved = await page.evaluate<[number, number[]]>(`(async () => {
      const before = places();
      await (async () => { ${what} })();
      await rendered();
      const after = places();
      const both = Object.keys(before).filter((id) => id in after);
      return [both.length, both.map((id) => Math.abs(after[id] - before[id]))];
    })()`);
    assert(moved[0] > 2, `${what}: ${moved[0]} rows are still in view`);
    assert(moved[1].every((px) => px <= 1), `${what}: moved by ${moved[1]} px`);
  }
  await stays("for (let i = 0; i < 100; i++) say('cleo', 'below ' + i);");
  await stays("timeline.addPresence('joined', 'dora'); timeline.addNotice('notice');");
  await stays("timeline.addPending('r', 'pending'); await rendered(); timeline.drop('r');");
  await stays("box.style.height = '200px'; await rendered(); box.style.height = '';");
  await stays("timeline.element.style.paddingTop = '0'; say('anna', 'own');");
  await stays("timeline.remove(all('[data-id]')[0].dataset.id, 'mod');");
  // Older ones come above, and take the name and the day of the first row away.
  const before = await page.evaluate<number>("calls.filter((call) => call === 'loadOlder').length");
  for (let i = 0; i < 8; i++) {
    await page.evaluate("scrollBy(-1200)");
    await stays("await new Promise((resolve) => setTimeout(resolve, 30));");
  }
  const after = await page.evaluate<number>("calls.filter((call) => call === 'loadOlder').length");
  assert(after > before, "older ones were loaded");

  // Where the rows change their heights, the first one in view stays.
  const first = "Object.entries(places())[0]";
  const [id, place] = await page.evaluate<[string, number]>(first);
  const placeOf = `document.querySelector("[data-id='${id}']").getBoundingClientRect().bottom`;
  for (const width of [700, 1280]) {
    await page.setViewportSize({ width, height: 800 });
    await page.evaluate("rendered()");
    const now = await page.evaluate<number>(placeOf);
    assert(Math.abs(now - place) < 2, `${width} px wide: moved by ${now - place} px`);
  }
  await page.evaluate("document.documentElement.dataset.density = 'compact'; rendered()");
  const compact = await page.evaluate<number>(placeOf);
  assert(Math.abs(compact - place) < 2, `compact: moved by ${compact - place} px`);
}

async function checkEnd(page: Page): Promise<void> {
  await page.evaluate(`(async () => {
    for (let i = 0; i < 100; i++) say("ben", "message " + i);
    await rendered();
  })()`);
  const changes = [
    "say('ben', 'one more');",
    "box.style.height = '250px';",
    "timeline.addPresence('joined', 'dora');",
    "document.documentElement.dataset.density = 'compact';",
    "box.style.height = ''; say('ben', 'word '.repeat(300));",
    "document.documentElement.dataset.density = 'comfortable'; timeline.addPending('r', 'mine');",
    "timeline.fail('r', 'reason');",
  ];
  for (const change of changes) {
    const gap = await page.evaluate<number>(`(async () => { ${change}
      await rendered();
      return gapAtEnd();
    })()`);
    assert(gap < 1, `${change}: ${gap} px`);
  }
  await page.setViewportSize({ width: 400, height: 500 });
  assert(await page.evaluate("rendered().then(() => gapAtEnd() < 1)"));
  assert(await page.evaluate("all('.jump')[0].hidden"));

  // Messages that come before, in and after every frame do not leave it.
  const left = await page.evaluate<number>(`(async () => {
    timeline.drop("r");
    globalThis.flood = setInterval(() => say("ben", "flood"), 1);
    log.addEventListener("scroll", () => say("ben", "before a rendering"), { capture: true });
    let left = 0;
    for (let i = 0; i < 60; i++) {
      await new Promise(requestAnimationFrame);
      say("ben", "in a frame");
      if (!all(".jump")[0].hidden) left++;
    }
    return left;
  })()`);
  assertEquals(left, 0);

  // A wheel turned by a little does, nevertheless.
  await page.mouse.move(200, 100);
  await page.mouse.wheel(0, -120);
  await untilTrue(page, "!all('.jump')[0].hidden");
  const top = await page.evaluate<number>("rendered().then(() => Object.values(places())[0])");
  const later = await page.evaluate<number>(`(async () => {
    for (let i = 0; i < 10; i++) await rendered();
    return Object.values(places())[0];
  })()`);
  assertEquals(Math.round(later), Math.round(top));
  await page.locator(".jump").click();
  await untilTrue(page, "all('.jump')[0].hidden && gapAtEnd() < 1");
  await page.evaluate("clearInterval(flood)");
  // It goes back to the end even if the log is being scrolled.
  assert(
    await page.evaluate(`(async () => {
    await scrollBy(-300);
    log.scrollTop -= 10;
    timeline.scrollToNewest();
    await rendered();
    return gapAtEnd() < 1;
  })()`),
  );
}

async function checkNew(page: Page): Promise<void> {
  await page.evaluate("globalThis.hasOlder = true");
  await page.evaluate(`(async () => {
    for (const message of older.slice(-50)) timeline.add(message, false);
    say("ben", "in view");
    await rendered();
  })()`);
  assertEquals(await page.evaluate("texts('.new-line')"), []);
  await untilTrue(page, "texts('[aria-live=polite]')[0] === 'ben: in view'");
  assert(await page.evaluate("calls.includes('read')"));

  // The user looks away, and back: a line, but nothing that is out of view.
  await page.evaluate(`timeline.show(false); timeline.markUnread(); timeline.show(true);
    say("ben", "back before it"); rendered()`);
  assertEquals(await page.evaluate("texts('.new-line')"), []);
  await page.evaluate(`timeline.show(false); timeline.markUnread(); say("ben", "away");
    timeline.show(true); rendered()`);
  const line = "texts('.row:has(.new-line)').map((row) => row.endsWith('away'))";
  assertEquals(await page.evaluate(line), [true]);
  assert(await page.evaluate("all('.jump')[0].hidden"));
  // It stays for the next ones, and goes with an answer.
  await page.evaluate("say('ben', 'another'); rendered()");
  assertEquals(await page.evaluate(line), [true]);
  await page.evaluate("say('anna', 'answer'); rendered()");
  assertEquals(await page.evaluate(line), []);

  // The user reads above.
  await page.evaluate("scrollBy(-900)");
  assertEquals(await page.evaluate("texts('.jump')"), ["Jump to the newest message"]);
  await page.evaluate("for (let i = 0; i < 3; i++) say('ben', 'below ' + i); rendered()");
  assertEquals(await page.evaluate("texts('.jump')"), ["3 new messages"]);
  await page.evaluate("scrollBy(9_000).then(() => scrollBy(9_000))");
  assert(await page.evaluate("all('.jump')[0].hidden"));
  assertEquals(
    await page.evaluate("texts('.row:has(.new-line)').map((row) => row.endsWith('below 0'))"),
    [true],
  );
  // Older ones that come into the document are not read out.
  await untilTrue(page, "/below 2|new messages/.test(texts('[aria-live=polite]'))");
  await page.evaluate("say('ben', 'last'); scrollBy(-2000)");
  await untilTrue(page, "texts('[aria-live=polite]')[0] === 'ben: last'");
  assertEquals(await page.evaluate("log.ariaLive"), "off");
}

async function checkOlder(page: Page): Promise<void> {
  // Before the welcome nothing is asked for, and the first 50 do not fill the view.
  assertEquals(await page.evaluate("calls"), []);
  await page.setViewportSize({ width: 1280, height: 5000 });
  await page.evaluate("globalThis.hasOlder = globalThis.isBroken = true; timeline.onWelcome()");
  await untilTrue(page, "texts('.older')[0].includes('could not be loaded')");
  await page.evaluate("calls.length = 0; for (let i = 0; i < 10; i++) rendered()");
  assertEquals(await page.evaluate("rendered().then(() => calls)"), [], "it is not asked again");
  await page.evaluate("isBroken = false");
  await page.locator(".older .link-button").click();
  await untilTrue(page, "all('.message').length > 100");
  await page.evaluate("rendered()");
  assert(await page.evaluate("gapAtEnd() < 1"));
  // Until the view is full and a screen above it, and no further.
  const loads = await page.evaluate<number>("calls.length");
  assert(loads > 2 && loads < 8, `${loads}`);
  await page.evaluate(`(async () => {
    while (!texts(".older")[0].includes("beginning")) await scrollBy(-9_000);
    await scrollBy(-9_000);
    await scrollBy(-9_000);
  })()`);
  assertEquals(await page.evaluate("texts('.older')"), ["This is the beginning of red."]);
  assertEquals(
    await page.evaluate("texts('.message-text')[0].slice(0, 5)"),
    "old 0",
  );
  // A day's line is before its first message, and nowhere else.
  const days = await page.evaluate<string[]>("texts('.day')");
  assertEquals(new Set(days).size, days.length);
}

async function checkHostile(page: Page): Promise<void> {
  const hostile = [
    "<img src=x onerror=window.wasRun=1><script>window.wasRun=1</script>",
    "javascript:alert(1) data:text/html,x https://user@example.org/",
    "x".repeat(16_384),
    "z" + "\u0301\u0302\u0303".repeat(2_000),
    "\u202eright to left\u2066 \u200f",
    "line\n\n\n\tline",
    "مرحبا https://example.org/a?b=1 نص",
  ];
  const shown = await page.evaluate<string[]>(`(async () => {
    for (const text of ${JSON.stringify(hostile)}) say("<b>\u202eeve</b>", text);
    await rendered();
    return texts(".message-text");
  })()`);
  assertEquals(shown, hostile);
  assertEquals(await page.evaluate("all('.log b, .log img, .log script').length"), 0);
  assertEquals(await page.evaluate("globalThis.wasRun"), undefined);
  assertEquals(await page.evaluate("texts('.message-name')"), ["<b>\u202eeve</b>"]);
  assertEquals(
    await page.evaluate("all('.log a').map(({ href, rel, target }) => [href, rel, target])"),
    [
      ["https://example.org/a?b=1", "noopener noreferrer", "_blank"],
    ],
  );
  for (const width of [320, 1280]) {
    await page.setViewportSize({ width, height: 800 });
    assert(await page.evaluate("rendered().then(() => log.scrollWidth <= log.clientWidth)"));
    // Marks that are stacked on a letter stay in their message.
    assert(
      await page.evaluate(`all(".message-text").every((text) =>
      getComputedStyle(text).overflow.includes("clip"))`),
    );
  }
  // Of a long text the beginning is shown first. All of it then begins at the same place.
  await page.evaluate("for (let i = 0; i < 50; i++) say('ben', 'below ' + i); rendered()");
  const id = await page.evaluate<string>(`(() => {
    const long = all(".message:has(.message-long)")[0];
    long.scrollIntoView({ block: "start" });
    return long.dataset.id;
  })()`);
  const rect = `document.querySelector("[data-id='${id}']").getBoundingClientRect()`;
  const [top, height] = await page.evaluate<number[]>(
    `rendered().then(() => [${rect}.top, ${rect}.height])`,
  );
  await page.evaluate("all('.message .link-button')[0].click(); rendered()");
  const [topNow, heightNow] = await page.evaluate<number[]>(`[${rect}.top, ${rect}.height]`);
  assert(Math.abs(topNow - top) < 2, `moved by ${topNow - top} px`);
  assert(heightNow > height + 100, `${height} px, then ${heightNow}`);
}

async function checkItems(page: Page): Promise<void> {
  const state =
    "all('.message').map(({ className }) => className.replace(/ message-sent|message-/g, ''))";
  await page.evaluate(
    "timeline.addPending('r1', 'one'); timeline.addPending('r2', 'two'); rendered()",
  );
  assertEquals(await page.evaluate(state), [
    "message own group-start pending",
    "message own pending",
  ]);
  // Those of others come before them; an acknowledged one is shown once, though it comes twice.
  await page.evaluate(`(async () => {
    say("ben", "hello anna");
    const id = say("anna", "one", { ref: "r1" });
    say("anna", "one", { ref: "r1", id });
    timeline.fail("r2", "too fast");
    await rendered();
  })()`);
  assertEquals(await page.evaluate(state), [
    "message group-start mentions-me",
    "message own group-start",
    "message own failed",
  ]);
  assertEquals(
    await page.evaluate("all('.message').map(({ dataset }) => dataset.ref ?? null)"),
    [null, "r1", "r2"],
  );
  assertEquals(await page.evaluate("texts('.message-failure span')"), ["Not sent: too fast"]);
  await page.locator(".message-failure >> text=Retry").click();
  await page.locator(".message-failure >> text=Discard").click();
  assertEquals(await page.evaluate("calls.slice(-2)"), ["retry r2", "discard r2"]);
  await page.evaluate("timeline.drop('r2'); rendered()");
  assertEquals(await page.evaluate("texts('.message-text')"), ["hello anna", "one"]);

  await page.evaluate("timeline.remove(all('[data-id]')[0].dataset.id, 'mod'); rendered()");
  assertEquals(await page.evaluate("texts('.message-text')"), ["Message removed by mod", "one"]);
  assertEquals(await page.evaluate("document.body.textContent.includes('hello anna')"), false);

  await page.evaluate(`(async () => {
    for (const user of ["ben", "cleo", "dora", "eve", "finn"]) timeline.addPresence("joined", user);
    timeline.addPresence("left", "finn");
    timeline.addPresence("left", "gil");
    timeline.addPresence("joined", "gil");
    timeline.addPresence("left", "hal");
    timeline.addGap();
    timeline.addNotice("<b>notice</b>");
    await rendered();
  })()`);
  assertEquals(await page.evaluate("texts('.presence, .gap, .notice')"), [
    "ben, cleo, and 2 others joined · hal left · finn joined and left",
    "Some messages are missing here",
    "<b>notice</b>",
  ]);
  // Five minutes later the name is shown again, and on another day the day.
  const day = 86_400_000;
  await page.evaluate(`(async () => {
    timeline.startOver();
    const add = (time) => timeline.add({ type: "message", id: time + "-0", user: "ben", text: "" });
    for (const time of [0, 299_999, 600_000, ${2 * day}]) add(${20_000 * day} + 36_000_000 + time);
    await rendered();
  })()`);
  assertEquals(await page.evaluate(state), [
    "message group-start",
    "message",
    "message group-start",
    "message group-start",
  ]);
  assertEquals(await page.evaluate("all('.day').length"), 2);
  assertEquals(
    await page.evaluate("all('.message time')[0].dateTime"),
    new Date(20_000 * day + 36_000_000).toISOString(),
  );
}

async function checkHidden(page: Page): Promise<void> {
  const rows = await page.evaluate<number[]>(`(async () => {
    for (let i = 0; i < 30; i++) say("ben", "message " + i);
    await rendered();
    timeline.show(false);
    all(".conversation")[0].hidden = true;
    timeline.markUnread();
    await rendered();
    const before = all(".row").length;
    for (let i = 0; i < 2_000; i++) say("ben", "new " + i);
    await rendered();
    const after = all(".row").length;
    all(".conversation")[0].hidden = false;
    timeline.show(true);
    await rendered();
    return [before, after, all(".row").length];
  })()`);
  assertEquals(rows[0], rows[1], "nothing is rendered");
  assert(rows[2] > rows[1] && rows[2] < MAX_ROWS, `${rows}`);
  // The line of the new ones is at the top of the view.
  const line = "all('.new-line')[0].getBoundingClientRect().top - log.getBoundingClientRect().top";
  const top = await page.evaluate<number>(line);
  assert(Math.abs(top) < 60, `${top}`);
  assertEquals(await page.evaluate("texts('.jump')"), ["2,000 new messages"]);
  await page.locator(".jump").click();
  await untilTrue(page, "texts('.message-text').at(-1) === 'new 1999' && gapAtEnd() < 1");

  // Where they fit the view, it is at the end.
  assert(
    await page.evaluate(`(async () => {
    timeline.show(false);
    say("ben", "new");
    timeline.show(true);
    await rendered();
    return all(".jump")[0].hidden && all(".new-line").length === 1 && gapAtEnd() < 1;
  })()`),
  );
}

async function checkMemory(page: Page): Promise<void> {
  const result = await page.evaluate<{ moved: number; rows: number; ids: string[] }>(`(async () => {
    for (let i = 0; i < 100; i++) say("ben", "message " + i);
    await rendered();
    await scrollBy(-2_000);
    const [[id, place]] = Object.entries(places());
    for (let i = 0; i < 500; i++) {
      say("ben", i + "x".repeat(10_000));
      if (i % 50 === 0) await rendered();
    }
    const moved = places()[id] - place;
    log.scrollTop = log.scrollHeight;
    for (let i = 0; i < 100; i++) await scrollBy(2_000);
    return { moved, rows: all(".row").length, end: texts(".gap") };
  })()`);
  assert(Math.abs(result.moved) <= 1, `moved by ${result.moved}`);
  assertEquals(await page.evaluate("texts('.gap')"), ["Some messages are missing here"]);
  assertEquals(await page.evaluate("texts('.jump')"), ["500 new messages"]);
  // The newest ones are read again from the server.
  await page.evaluate("globalThis.hasOlder = true");
  await page.locator(".jump").click();
  await untilTrue(page, "texts('.message-text').at(-1)?.startsWith('old 399')");
  await untilTrue(page, "all('.jump')[0].hidden && gapAtEnd() < 1");
  assertEquals(
    await page.evaluate("say('ben', 'after'), rendered().then(() => texts('.gap'))"),
    [],
  );
  assertEquals(await page.evaluate("texts('.message-text').at(-1)"), "after");
}

async function checkKeyboard(page: Page): Promise<void> {
  await page.setViewportSize({ width: 1280, height: 400 });
  await page.evaluate(`(async () => {
    for (let i = 0; i < 100; i++) say("ben", "message " + i);
    say("anna", "mine https://example.org/");
    await rendered();
    timeline.focus();
  })()`);
  const focused = () =>
    page.evaluate<string>(
      "document.activeElement.matches('.message') ? texts('.message:focus .message-text')[0] : ''",
    );
  await page.keyboard.press("ArrowUp");
  assertEquals(await focused(), "mine https://example.org/");
  await page.keyboard.press("Enter");
  assertEquals(await page.evaluate("calls.at(-1)"), "menu mine https://example.org/");
  for (const selector of [".message-name", "a", ".message-menu"]) {
    await page.keyboard.press("Tab");
    assert(await page.evaluate(`document.activeElement.matches("${selector}")`), selector);
  }
  await page.keyboard.press("ArrowUp");
  assertEquals(await focused(), "message 99");
  for (let i = 0; i < 70; i++) {
    await page.keyboard.press("ArrowUp");
    // The rows above come with the next frame.
    if (i % 5 === 0) await page.evaluate("rendered()");
  }
  assertEquals(await focused(), "message 29");
  // The row with the focus leaves the document: the log has it then.
  await page.evaluate("timeline.scrollToNewest(); rendered()");
  assert(await page.evaluate("document.activeElement === log"));
}

async function checkPeople(page: Page): Promise<void> {
  const setPeople = (guests: number) =>
    page.evaluate(`{
      const guests = Array.from({ length: ${guests} }, (_, i) => "guest " + i);
      people.set([...guests, "anna", "Zoë", "Ünal"]);
      rendered();
    }`);
  await setPeople(4_997);
  assertEquals(await page.evaluate("texts('.count')"), ["5,000"]);
  const rows = await page.evaluate<number>("all('.person').length");
  assert(rows > 10 && rows < 60, `${rows}`);
  assertEquals(await page.evaluate("texts('.person-name').slice(0, 4)"), [
    "anna",
    "guest 0",
    "guest 1",
    "guest 2",
  ]);
  await page.evaluate("people.delete('guest 7'); people.add('guest 7'); people.add('guest 7')");
  for (const part of [0.3, 0.8, 1]) {
    const names = await page.evaluate<string[]>(`(async () => {
      const list = all(".people-list")[0];
      list.scrollTop = ${part} * (list.scrollHeight - list.clientHeight);
      await rendered();
      const { top, bottom } = list.getBoundingClientRect();
      return all(".person").filter((row) => {
        const at = row.getBoundingClientRect();
        return at.bottom > top && at.top < bottom;
      }).map((row) => row.querySelector("bdi").textContent);
    })()`);
    assert(names.length > 10, `${names}`);
    const first = Number(names[0].slice(6));
    const expected = [
      "Zoë",
      "Ünal",
      ...Array.from({ length: 4_997 }, (_, i) => `guest ${4_996 - i}`),
    ]
      .reverse().slice(first, first + names.length);
    assertEquals(names, expected);
  }

  // Of those at the end of a long list, few are left after a reconnect.
  await setPeople(100);
  assert(
    await page.evaluate(`rendered().then(() => all(".person").some((row) => {
      const { top, bottom } = row.getBoundingClientRect();
      const list = all(".people-list")[0].getBoundingClientRect();
      return top < list.bottom && bottom > list.top;
    }))`),
  );
  await setPeople(4_997);

  await page.locator(".people-search").fill("uNA");
  await untilTrue(page, "texts('.person-name').join() === 'Ünal'");
  await page.evaluate("people.add('luna'); people.delete('Ünal'); rendered()");
  assertEquals(await page.evaluate("texts('.person-name')"), ["luna"]);
  await page.locator(".people-search").fill("nobody");
  await untilTrue(page, "texts('.people-list .hint').join() === 'Nobody here is called that.'");
  await page.locator(".people-search").fill("guest");
  await untilTrue(page, "all('.person').length > 10");
  for (const key of ["ArrowDown", "ArrowDown", "PageDown", "ArrowUp"]) {
    await page.keyboard.press(key);
  }
  assertEquals(await page.evaluate("document.activeElement.matches('.person')"), true);
  await page.keyboard.press("End");
  await page.keyboard.press("Enter");
  assertEquals(await page.evaluate("calls.at(-1)"), "user guest 4996");
  assertEquals(
    await page.evaluate(
      "[document.activeElement.parentElement].map((row) => [row.ariaPosInSet, row.ariaSetSize])",
    ),
    [["4997", "4997"]],
  );
  await page.evaluate("people.delete('guest 4996'); rendered()");
  assert(await page.evaluate("document.activeElement.matches('.people-list')"));
}

async function checkSameTime(page: Page): Promise<void> {
  const isRead = await page.evaluate<boolean>(`(async () => {
    timeline.addPending("r", "not sent");
    timeline.fail("r", "muted");
    say("ben", "one");
    await rendered();
    calls.length = 0;
    say("ben", "two");
    await rendered();
    return calls.includes("read");
  })()`);
  assert(isRead, "others are read below a message that was not sent");

  const presence = await page.evaluate<number>(`(async () => {
    for (let i = 0; i < 250; i++) timeline.addPresence("joined", "user" + i);
    await rendered();
    return all(".presence").length;
  })()`);
  assertEquals(presence, 3, "lines of those who joined");
}

async function checkRemovedMeanwhile(page: Page): Promise<void> {
  const shown = await page.evaluate<string[]>(`(async () => {
    globalThis.hasOlder = true;
    const { promise, resolve } = Promise.withResolvers();
    globalThis.hold = promise;
    say("ben", "now");
    while (!calls.includes("loadOlder")) await rendered();
    const { id, user } = older.at(-1);
    // It comes from the server, with others that are not older, while the page is on its way.
    timeline.add({ type: "message", id, prev: "0-0", user, text: "late" });
    timeline.remove(older.at(-2).id, "mod");
    resolve();
    while (all("[data-id]").length < 10) await rendered();
    return older.slice(-3).map(({ id }) => all("[data-id='" + id + "']")
      .map(({ textContent }) => textContent).join(" and "));
  })()`);
  assert(shown[0].includes("old 397"), shown[0]);
  assert(!shown[1].includes("old 398") && shown[1].includes("mod"), shown[1]);
  assert(shown[2].includes("late") && !shown[2].includes(" and late"), shown[2]);
}
