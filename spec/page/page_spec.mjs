// The page in a real browser: node --test spec/page, once the program is built.
import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, describe, it } from "node:test";
import { barriers, launch, openPage, Place, shots } from "./browser.mjs";

let browser, place;
before(async () => { browser = await launch(); });
after(async () => { await browser.close(); });
beforeEach(() => { place = new Place(); });
afterEach(async () => {
  await Promise.all(browser.contexts().map((context) => context.close()));
  await place.close();
});

const FLOW = `
local fetch = rt.function_node("fetch", function(url) rt.sleep(0.02) return { url = url } end)
local parse = rt.function_node("parse", function(page) if page.url == "b" then error "no title" end
  return #page.url end)
local visit = rt.function_node("visit", function(url) return rt.call(parse, rt.call(fetch, url)) end)
rt.settle { rt.spawn(visit, "a"), rt.spawn(visit, "b"), rt.spawn(visit, "c") }
rt.call(rt.function_node("report", function() return "the needle" end))
`;

/** Opens the page at a run; no word for the list of runs. */
async function open(hash = "#/", options = {}) {
  const page = await openPage(browser, (await place.view()) + hash, options);
  await page.waitForSelector(hash === "#/" ? "main.runs" : "main.run .run-head");
  return page;
}

const names = (page) => page.locator(".call-row b").allTextContents();
const right = (page) => assert.deepEqual(page.wrongs, []);

describe("the list of runs", () => {
  it("shows the newest first, and one more as it begins, without being asked", async () => {
    place.record("");
    const page = await open();
    await page.waitForSelector("a.run-row");
    place.begin("rt.sleep(0.5)");
    await page.waitForSelector("a.run-row .badge.running");
    await page.waitForFunction(() => document.querySelectorAll("a.run-row .badge.done").length === 2);
    right(page);
  });

  it("is filtered by status, name and text, and says so in its address", async () => {
    place.record(FLOW);
    place.record("error 'broken'");
    const page = await open();
    await page.waitForSelector("a.run-row");
    await page.getByRole("button", { name: "failed" }).click();
    await page.waitForFunction(() => document.querySelectorAll("a.run-row").length === 1);
    assert.match(page.url(), /status=failed/);
    await page.getByRole("button", { name: "all", exact: true }).click();
    await page.waitForFunction(() => document.querySelectorAll("a.run-row").length === 2);
    await page.getByLabel("Text in arguments").fill("NEEDLE");
    await page.waitForFunction(() => document.querySelectorAll("a.run-row").length === 1);
    assert.match(await page.locator("a.run-row").textContent(), /done/);
    const again = await openPage(browser, page.url());
    await again.waitForSelector("a.run-row");
    assert.equal(await again.locator("a.run-row").count(), 1);
    right(page);
  });

  it("scrolls through 10,000 runs", async () => {
    place.record("");
    place.sql(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 9999)
      INSERT INTO runs (id, name, status, started_at, ended_at, calls)
      SELECT 'made-' || i, 'run ' || i, 'done', 1e9 + i, 1e9 + i + 1, 0 FROM n`);
    const page = await open();
    await page.waitForSelector("a.run-row");
    for (let i = 0; i < 400; i++) {
      const at = await page.evaluate(() => {
        const list = document.querySelector(".scroll");
        list.scrollTop = list.scrollHeight;
        return [...document.querySelectorAll("a.run-row b")].pop()?.textContent;
      });
      if (at === "script.lua") break;
      await page.waitForTimeout(20);
    }
    assert.equal(await page.locator("a.run-row b").last().textContent(), "script.lua");
    assert.ok(await page.locator("a.run-row").count() < 100);
    right(page);
  });

  it("says what to do where there is nothing yet", async () => {
    const page = await open();
    await page.getByText("No runs yet.").waitFor();
    place.record("");
    await page.waitForSelector("a.run-row");
  });
});

describe("a run", () => {
  it("is a tree that opens, closes and is searched", async () => {
    place.record(FLOW);
    const page = await open("#/run/@1");
    await page.waitForSelector(".call-row");
    assert.deepEqual((await names(page)).slice(0, 4), ["script.lua", "visit", "fetch", "parse"]);
    await page.getByLabel("Close all").click();
    assert.deepEqual(await names(page), ["script.lua", "visit", "visit", "visit", "report"]);
    await page.getByLabel("Open all").click();
    assert.equal((await names(page)).length, 11);
    await page.getByLabel("Search calls").fill("needle");
    await page.waitForFunction(() => document.querySelectorAll(".call-row").length === 2);
    assert.deepEqual(await names(page), ["script.lua", "report"]);
    await page.getByLabel("Search calls").fill("");
    await page.getByRole("button", { name: /failed/ }).first().click();
    await page.waitForFunction(() => document.querySelectorAll(".call-row").length === 3);
    right(page);
  });

  it("is walked through by keyboard alone", async () => {
    place.record("");
    place.record(FLOW);
    const page = await open();
    await page.waitForSelector("a.run-row");
    await page.keyboard.press("j");
    await page.keyboard.press("k");
    await page.keyboard.press("Enter");
    await page.waitForSelector(".call-row");
    await page.keyboard.press("c");
    for (const key of ["ArrowDown", "ArrowRight", "ArrowRight", "ArrowDown"])
      await page.keyboard.press(key);
    await page.waitForSelector(".call-row.chosen");
    assert.match(page.url(), /call=\d+/);
    await page.keyboard.press("n");
    await page.getByText("stack traceback").waitFor();
    await page.keyboard.press("Escape");
    await page.getByRole("table").waitFor();
    await page.keyboard.press("?");
    await page.getByRole("dialog").waitFor();
    await page.keyboard.press("Escape");
    await page.keyboard.press("3");
    await page.waitForSelector(".graph .node");
    await page.keyboard.press("1");
    await page.keyboard.press("/");
    await page.keyboard.type("fetch");
    await page.waitForFunction(() => document.querySelectorAll(".call-row.found").length === 3);
    await page.keyboard.press("Escape");
    await page.keyboard.press("Escape");
    await page.waitForSelector("main.runs");
    right(page);
  });

  it("shows all of a call: arguments, results, error, attempts, log, where from", async () => {
    place.record(`local tries = 0
      local node = rt.function_node{ name = "flaky", retries = 1, run = function()
        tries = tries + 1
        if tries == 1 then error "the first time" end
        return { answer = 42, big = 9007199254740993, one = 1.0 } end }
      rt.call(node, "given", { nested = { true } })`);
    place.sql(`INSERT INTO events SELECT first_key + 1, 2, started_at, 'log',
      '{"level":"warning","message":"it said","fields":{"n":1}}' FROM runs`);
    const page = await open("#/run/@1?call=2");
    await page.waitForSelector("#detail h2");
    const text = await page.locator("#detail").innerText();
    for (const part of [/flaky/, /"given"/, /9007199254740993/, /1\.0/, /script\.lua:7/,
      /Attempts \(2\)/, /Duration/]) assert.match(text, part);
    await page.getByText("it said").waitFor();
    await page.locator(".children a").first().click();
    await page.getByText("the first time").first().waitFor();
    await page.locator(".traceback").waitFor();
    right(page);
  });

  it("goes to the first failure, and has a link for every view", async () => {
    place.record(FLOW + "error 'in the end'");
    const page = await open("#/run/@1");
    await page.getByRole("button", { name: "go to the first failure" }).click();
    await page.getByText("no title").first().waitFor();
    const link = page.url();
    await page.getByRole("button", { name: "Graph" }).click();
    await page.waitForSelector(".graph .node");
    await page.goBack();
    await page.waitForSelector(".tree");
    const other = await openPage(browser, link);
    await other.getByText("no title").first().waitFor();
    await other.waitForSelector(".call-row.chosen");
    right(page);
  });

  it("copies a line for the REPL, and JSON", async () => {
    place.record(FLOW);
    const page = await open("#/run/@1?call=2", { permissions: ["clipboard-read", "clipboard-write"] });
    const pasted = () => page.evaluate(() => navigator.clipboard.readText());
    await page.getByRole("button", { name: "copy :again" }).click();
    await page.getByText("copied the line").waitFor();
    assert.match(await pasted(), /^:again [0-9a-f-]{36}\/1\.1$/);
    await page.getByRole("button", { name: "copy JSON" }).click();
    await page.getByText("copied JSON").waitFor();
    assert.equal(JSON.parse(await pasted()).node, "visit");
    right(page);
  });

  it("is drawn over time: what is clicked there is shown", async () => {
    place.record(FLOW);
    const page = await open("#/run/@1");
    const box = await page.locator("#timeline").boundingBox();
    await page.mouse.click(box.x + box.width / 2, box.y + 48 + 10);
    await page.waitForSelector("#detail h2");
    assert.equal(await page.locator("#detail h2").textContent(), "script.lua");
    await page.mouse.move(box.x + box.width / 2, box.y + 48 + 30);
    await page.locator(".tip").waitFor();
    right(page);
  });

  it("shows hostile text as text", async () => {
    const evil = "<img src=x onerror=alert(1)><script>alert(2)</script>";
    place.record(`local evil = "${evil}"
      pcall(rt.call, rt.function_node(evil, function(a) error(evil .. "\\n" .. a) end),
        evil, { [evil] = evil }, "javascript:alert(3)", ("\\u{202e}x"))
      rt.call(rt.function_node("long", function() return 1 end), ("y"):rep(5 << 20))`,
    "--record-limit", "8M");
    place.sql(`UPDATE runs SET name = '${evil}'`);
    const page = await open();
    await page.waitForSelector("a.run-row");
    for (const view of ["", "&view=graph", "&view=log", "&q=%3Cimg"]) {
      await page.goto(new URL("#/run/@1?call=2" + view, page.url()).href);
      await page.waitForTimeout(300);
    }
    assert.equal(await page.locator("#page img:not(.logo img)").count(), 0);
    await page.goto(new URL("#/run/@1?call=3", page.url()).href);
    await page.getByRole("button", { name: "load all 5.0 MB" }).click();
    await page.getByRole("button", { name: "all 5.0 MB" }).click();
    await page.waitForFunction(() => document.querySelector(".v-text").textContent.length > 5 << 20);
    right(page);
  });
});

describe("a run that goes on", () => {
  it("grows on the page, to its end", async () => {
    place.begin(`local step = rt.function_node("step", function(n) rt.sleep(0.1) return n end)
      for i = 1, 15 do rt.call(step, i) end`);
    const page = await open("#/run/@1");
    await page.waitForFunction(() => document.querySelectorAll(".call-row").length >= 4);
    await page.waitForSelector(".badge.running");
    assert.match(await page.locator(".state").textContent(), /live/);
    await page.waitForFunction(() => document.querySelectorAll(".call-row").length === 16);
    await page.waitForSelector(".run-head .badge.done");
    right(page);
  });

  it("shows when its process was killed", async () => {
    const run = place.begin("rt.sleep(3600)");
    const page = await open("#/run/@1");
    await page.waitForSelector(".badge.running");
    run.kill("SIGKILL");
    await page.waitForSelector(".run-head .badge.interrupted");
    right(page);
  });

  it("of 5,000 calls a second is followed, and is no slower for it", async () => {
    const script = `local leaf = rt.function_node("leaf", function(i) return i end)
      local from = rt.now()
      for tick = 1, 80 do
        for i = 1, 250 do rt.call(leaf, i) end
        rt.sleep(math.max(0, tick * 0.05 - (rt.now() - from)))
      end`;
    const page = await open();
    const from = Date.now(), run = place.begin(script);
    await page.waitForSelector("a.run-row .badge.running");
    await page.goto(new URL("#/run/@1", page.url()).href);
    await page.waitForSelector(".run-head");
    const shown = () => page.evaluate(() => Number(
      /([\d,]+) calls/.exec(document.querySelector(".run-head").textContent)?.[1]
        .replaceAll(",", "")));
    const behind = [];
    for (let i = 0; i < 6; i++) {
      await page.waitForTimeout(400);
      const written = Number(place.sql("SELECT count(*) FROM calls"));
      behind.push(written - await shown());
    }
    assert.equal(await run.ended, 0);
    const took = (Date.now() - from) / 1000;
    await page.waitForSelector(".run-head .badge.done");
    assert.equal(await shown(), 20_001);
    console.log(`# 20,000 calls in ${took.toFixed(2)} s; calls behind: ${behind.join(" ")}`);
    right(page);
  });
});

describe("tabs", () => {
  it("that are hidden close their stream, and go on where they were", async () => {
    place.begin("for i = 1, 60 do rt.call(function() rt.sleep(0.1) end) end");
    const page = await open("#/run/@1");
    await page.waitForSelector(".state.live");
    const hide = (hidden) => page.evaluate((value) => {
      Object.defineProperty(document, "hidden", { value, configurable: true });
      document.dispatchEvent(new Event("visibilitychange"));
    }, hidden);
    await hide(true);
    await page.waitForSelector(".state.paused");
    const count = await page.locator(".call-row").count();
    const [stream] = await Promise.all([
      page.waitForRequest(/\/api\/stream\?last=/), hide(false)]);
    assert.match(stream.url(), /last=[0-9a-f]+-\d+|last=[0-9a-f]+-[0-9a-f]+/);
    await page.waitForFunction((n) => document.querySelectorAll(".call-row").length > n, count);
    right(page);
  });

  it("may be seven: the last one loads too, once one of them is hidden", async () => {
    place.record("");
    const address = await place.view(), context = await browser.newContext();
    const pages = [];
    for (let i = 0; i < 5; i++) {
      pages.push(await context.newPage());
      await pages[i].goto(address);
      await pages[i].waitForSelector("a.run-row");
    }
    for (const page of pages) await page.evaluate(() => {
      Object.defineProperty(document, "hidden", { value: true, configurable: true });
      document.dispatchEvent(new Event("visibilitychange"));
    });
    for (let i = 5; i < 8; i++) {
      pages.push(await context.newPage());
      await pages[i].goto(address);
      await pages[i].waitForSelector("a.run-row");
    }
  });
});

describe("a run of 200,000 calls", () => {
  it("opens within two seconds, and scrolls smoothly with all of it open", async () => {
    place.record(`local leaf = rt.function_node("leaf", function(i) return i * 2 end)
      local batch = rt.function_node("batch", function(b)
        local list = {}
        for i = 1, 1000 do list[i] = b * 1000 + i end
        rt.map(leaf, list)
      end)
      for b = 1, 200 do rt.call(batch, b) end`);
    const address = await place.view(), from = Date.now();
    const page = await openPage(browser, address + "#/run/@1");
    await page.waitForSelector(".call-row");
    const first = Date.now() - from;
    await page.keyboard.press("j");
    await page.keyboard.press("e");
    await page.waitForFunction(() => document.querySelector("#tree .rows").clientHeight > 5e6);
    const frames = await page.evaluate(async () => {
      const list = document.querySelector("#tree"), times = [];
      let last = performance.now();
      for (let i = 0; i < 100; i++) {
        list.scrollTop += 5000;
        await new Promise(requestAnimationFrame);
        times.push(performance.now() - last);
        last = performance.now();
      }
      return times.sort((a, b) => a - b);
    });
    console.log(`# first rows after ${first} ms; frames of scrolling: median ${
      frames[50].toFixed(1)} ms, 95 of 100 below ${frames[95].toFixed(1)} ms`);
    assert.ok(first < 2000, `${first} ms`);
    assert.ok(await page.locator(".call-row").count() < 100);
    right(page);
  });
});

describe("how it looks", () => {
  for (const colorScheme of ["light", "dark"]) for (const width of [1280, 400]) {
    it(`is without barriers, and kept as pictures: ${colorScheme}, ${width} pixels wide`, async () => {
      place.record(FLOW);
      place.record(FLOW + "error 'in the end'");
      const page = await open("#/", { colorScheme, viewport: { width, height: 800 } });
      await page.waitForSelector("a.run-row");
      const views = { runs: "#/", run: "#/run/@1", call: "#/run/@1?call=7",
        timeline: "#/run/@1?view=timeline", graph: "#/run/@1?view=graph", log: "#/run/@1?view=log" };
      for (const [name, hash] of Object.entries(views)) {
        await page.goto(new URL(hash, page.url()).href);
        await page.waitForTimeout(300);
        await page.screenshot({ path: `${shots}/${name}-${colorScheme}-${width}.png` });
        const wide = await page.evaluate(() => document.documentElement.scrollWidth);
        assert.ok(wide <= width, `${name} is ${wide} pixels wide`);
        assert.deepEqual(await barriers(page), [], name);
      }
      right(page);
    });
  }
});
