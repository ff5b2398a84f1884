// A recorded value: JSON text, shown as a tree. It is read by hand, as JSON.parse would turn
// 1.0 into 1 and lose the digits of large integers, and it need not be JSON at all.
import { useState } from "preact/hooks";
import { bytes, counted, grouped } from "./format";

export type Value =
  | { kind: "list"; items: Value[] }
  | { kind: "table"; keys: string[]; items: Value[] }
  | { kind: "text"; text: string }
  | { kind: "plain"; text: string };

const PLAIN = /[-+0-9.eE]+|true|false|null/y;
const DEEPEST = 400;

class Reader {
  at = 0;
  constructor(readonly text: string) {}

  blank(): void {
    while (this.at < this.text.length && this.text.charCodeAt(this.at) <= 32) this.at++;
  }

  take(sign: string): boolean {
    this.blank();
    if (this.text[this.at] !== sign) return false;
    this.at++;
    return true;
  }

  string(): string {
    const from = this.at++;
    for (;;) {
      const end = this.text.indexOf('"', this.at);
      if (end < 0) throw new Error("a text without an end");
      let slashes = 0;
      while (this.text[end - 1 - slashes] === "\\") slashes++;
      this.at = end + 1;
      if (slashes % 2 === 0) return JSON.parse(this.text.slice(from, this.at)) as string;
    }
  }

  value(depth: number): Value {
    if (depth > DEEPEST) throw new Error("too deep");
    this.blank();
    const sign = this.text[this.at];
    if (sign === '"') return { kind: "text", text: this.string() };
    if (sign === "[") {
      this.at++;
      const items: Value[] = [];
      if (this.take("]")) return { kind: "list", items };
      do items.push(this.value(depth + 1)); while (this.take(","));
      if (!this.take("]")) throw new Error("a list without an end");
      return { kind: "list", items };
    }
    if (sign === "{") {
      this.at++;
      const keys: string[] = [], items: Value[] = [];
      if (this.take("}")) return { kind: "table", keys, items };
      do {
        this.blank();
        if (this.text[this.at] !== '"') throw new Error("a key that is no text");
        keys.push(this.string());
        if (!this.take(":")) throw new Error("a key without a value");
        items.push(this.value(depth + 1));
      } while (this.take(","));
      if (!this.take("}")) throw new Error("a table without an end");
      return { kind: "table", keys, items };
    }
    PLAIN.lastIndex = this.at;
    const found = PLAIN.exec(this.text);
    if (!found) throw new Error("no value");
    this.at += found[0].length;
    return { kind: "plain", text: found[0] };
  }
}

/** The value, or null if the text is not JSON. */
export function parse(text: string): Value | null {
  try {
    const reader = new Reader(text), value = reader.value(0);
    reader.blank();
    return reader.at === text.length ? value : null;
  } catch { return null; }
}

const HEAD = 600, STEP = 100;

function Text({ text }: { text: string }) {
  const [all, setAll] = useState(false);
  if (text.length <= HEAD || all) return <span class="v-text">{JSON.stringify(text)
    .replace(/\\n/g, "\\n\n")}</span>;
  return <span>
    <span class="v-text">{JSON.stringify(text.slice(0, HEAD)).slice(0, -1)}…</span>{" "}
    <button class="more" onClick={() => setAll(true)}>all {bytes(text.length)}</button>
  </span>;
}

/** What the record says of values that JSON has no words for. */
function special(value: Value & { kind: "table" }) {
  const [key] = value.keys, [item] = value.items;
  if (value.keys.length === 2 && key === "$cut" && item?.kind === "plain") {
    const head = value.items[1]!;
    return <span><span class="v-note">cut, {bytes(Number(item.text))} in all:</span>{" "}
      <span class="v-text">{head.kind === "text" ? head.text : ""}…</span></span>;
  }
  if (value.keys.length !== 1 || item === undefined) return null;
  if (key === "$lua" && item.kind === "text") return <span class="v-note">{item.text}</span>;
  if (key === "$bytes" && item.kind === "text")
    return <span><span class="v-note">bytes</span> <Text text={item.text} /></span>;
  if (key === "$map" && item.kind === "list") return <Pairs list={item} />;
  return null;
}

function Pairs({ list }: { list: Value & { kind: "list" } }) {
  return <span class="v-block">{list.items.slice(0, 1000).map((pair, i) =>
    <span class="v-row" key={i}>{pair.kind === "list" && pair.items.length === 2
      ? <><span class="v-key">[<Shown value={pair.items[0]!} depth={9} />]</span> <Shown
        value={pair.items[1]!} depth={9} /></>
      : <Shown value={pair} depth={9} />}</span>)}</span>;
}

function summary(value: Value & { kind: "list" | "table" }): string {
  return value.kind === "list" ? `[${counted(value.items.length, "item")}]`
    : `{${value.keys.slice(0, 4).join(", ")}${value.keys.length > 4 ? ", …" : ""}}`;
}

export function Shown({ value, depth = 0 }: { value: Value; depth?: number }) {
  const size = value.kind === "list" || value.kind === "table" ? value.items.length : 0;
  const [open, setOpen] = useState(depth < 2 && size <= 30);
  const [most, setMost] = useState(STEP);
  if (value.kind === "text") return <Text text={value.text} />;
  if (value.kind === "plain")
    return <span class={/^[tfn]/.test(value.text) ? "v-word" : "v-number"}>{value.text}</span>;
  if (value.kind === "table") {
    const told = special(value);
    if (told) return told;
  }
  if (size === 0) return <span class="v-note">{value.kind === "list" ? "[]" : "{}"}</span>;
  return <span class="v-tree">
    <button class="v-fold" aria-expanded={open} onClick={() => setOpen(!open)}>
      {open ? "▾" : "▸"} <span class="v-note">{summary(value)}</span></button>
    {open && <span class="v-block">
      {value.items.slice(0, most).map((item, i) => <span class="v-row" key={i}>
        <span class="v-key">{value.kind === "table" ? value.keys[i] : i + 1}</span>{" "}
        <Shown value={item} depth={depth + 1} /></span>)}
      {size > most && <button class="more" onClick={() => setMost(most + 10 * STEP)}>
        {grouped(size - most)} more</button>}
    </span>}
  </span>;
}
