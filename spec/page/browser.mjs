// For the specs of the page: a folder with a journal, the program in it, a browser.
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";

const root = new URL("../..", import.meta.url).pathname;
const require = createRequire(root + "src/view/page/package.json");
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

export const program = process.env.RT_PROGRAM ?? root + "build/railtracks";
export const shots = process.env.RT_SHOTS ?? root + "build/page";
mkdirSync(shots, { recursive: true });

const executablePath = ["chromium", "chromium-headless-shell"].map((name) => "/usr/bin/" + name)
  .find(existsSync);

export async function launch() {
  return chromium.launch({ executablePath, args: ["--no-sandbox"] });
}

/** A folder with a journal, and what is done there. */
export class Place {
  folder = mkdtempSync(join(tmpdir(), "railtracks-page-"));
  journal = join(this.folder, "journal.db");
  env = { ...process.env, RAILTRACKS_JOURNAL: this.journal };
  started = [];

  write(name, text) { writeFileSync(join(this.folder, name), text); }

  /** Runs the program to its end. */
  run(...words) {
    return spawnSync(program, words, { cwd: this.folder, env: this.env, encoding: "utf8" });
  }

  record(text, ...words) {
    this.write("script.lua", 'local rt = require "railtracks"\n' + text);
    return this.run("run", ...words, "script.lua");
  }

  start(...words) {
    const child = spawn(program, words, { cwd: this.folder, env: this.env });
    child.ended = new Promise((end) => child.once("exit", end));
    this.started.push(child);
    return child;
  }

  begin(text) {
    this.write("script.lua", 'local rt = require "railtracks"\n' + text);
    return this.start("run", "script.lua");
  }

  async view(...words) {
    const child = this.start("view", "--port", "0", ...words);
    return new Promise((found, lost) => {
      child.stdout.once("data", (line) => found(String(line).trim()));
      child.stderr.once("data", (line) => lost(new Error(String(line))));
    });
  }

  sql(text) {
    const done = spawnSync("sqlite3", ["-cmd", ".timeout 10000", this.journal, text],
      { encoding: "utf8" });
    if (done.status) throw new Error(done.stderr);
    return done.stdout.trim();
  }

  async close() {
    for (const child of this.started) child.kill("SIGKILL");
    await Promise.all(this.started.map((child) => child.ended));
    rmSync(this.folder, { recursive: true });
  }
}

/** A page on which nothing may go wrong unnoticed: errors, dialogs and foreign hosts count. */
export async function openPage(browser, address, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
  const page = await context.newPage();
  page.wrongs = [];
  page.on("pageerror", (error) => page.wrongs.push(String(error)));
  page.on("dialog", (dialog) => { page.wrongs.push("dialog"); void dialog.dismiss(); });
  page.on("console", (line) => { if (line.type() === "error") page.wrongs.push(line.text()); });
  page.on("request", (request) => {
    if (!request.url().startsWith(new URL(address).origin)) page.wrongs.push(request.url());
  });
  await page.goto(address);
  return page;
}

/** What keeps people from reading or using the page as it is now (WCAG 2.1 A and AA). */
export async function barriers(page) {
  await page.evaluate(axe);
  const found = await page.evaluate(() => window.axe.run(document,
    { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"] }));
  return found.violations.map(({ id, nodes }) => `${id}: ${nodes[0].html.slice(0, 120)}`);
}
