// The calls below each other: what is open, what is found, the way through it by keyboard.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { json, Preview, query, runPath, STATUSES } from "./api";
import { Calls, FAILED, NONE, RUNNING } from "./calls";
import { duration, grouped } from "./format";
import { List, ListHandle } from "./list";
import type { Model } from "./model";
import { messageOf } from "./runs";
import { Dot, Empty } from "./parts";
import { change, field } from "./place";

const HEIGHT = 26, SHOWN_AT_FIRST = 400, INDENTED = 24;

/** How many levels are open at first: as many as leave the tree short. */
function firstDepth(calls: Calls): number {
  const counts: number[] = [];
  for (let p = 0; p < calls.count; p++) {
    const d = calls.depth[p]!;
    counts[d] = (counts[d] ?? 0) + 1;
  }
  let sum = 0, depth = 0;
  while (depth < counts.length && (sum += counts[depth] ?? 0) <= SHOWN_AT_FIRST) depth++;
  return Math.max(1, depth - 1);
}

export interface Folding { depth: number; turned: Set<number> }

const isOpen = (calls: Calls, fold: Folding, p: number) =>
  calls.depth[p]! < fold.depth !== fold.turned.has(calls.seq[p]!);

/** The places to show, in turn. `kept`: only those, with all below them that is kept open. */
function flatten(calls: Calls, fold: Folding, kept: Uint8Array | null): Int32Array {
  const rows = new Int32Array(calls.count);
  let n = 0, at = calls.roots[0] ?? NONE;
  const { first, next, above } = calls;
  while (at >= 0) {
    const show = !kept || kept[at];
    if (show) rows[n++] = at;
    const open = show && (kept ? !fold.turned.has(calls.seq[at]!) : isOpen(calls, fold, at));
    if (open && first[at]! >= 0) { at = first[at]!; continue; }
    while (at >= 0 && next[at]! < 0) at = above[at]!;
    if (at >= 0) at = next[at]!;
  }
  return rows.subarray(0, n);
}

/** Calls whose text, as the server finds it, or whose node's name holds what is looked for. */
function useSearch(model: Model, text: string) {
  const [found, setFound] = useState<{ text: string; seqs: Set<number>; done: boolean }>(
    { text: "", seqs: new Set(), done: true });
  useEffect(() => {
    if (!text) { setFound({ text, seqs: new Set(), done: true }); return; }
    const stop = new AbortController(), seqs = new Set<number>();
    const timer = setTimeout(async () => {
      try {
        for (let from: number | null = 0; from !== null;) {
          const answer: { found: number[]; next: number | null } =
            await json(runPath(model.name, "/search" + query({ text, from })), stop.signal);
          for (const seq of answer.found) seqs.add(seq);
          from = answer.next;
          setFound({ text, seqs: new Set(seqs), done: from === null });
        }
      } catch { /* the next one is on its way */ }
    }, 200);
    return () => { clearTimeout(timer); stop.abort(); };
  }, [text, model, model.live ? model.version.value : 0]);
  return found;
}

/** The calls that pass the filters, with their callers; null for all. */
function keep(calls: Calls, text: string, status: string, seqs: Set<number>):
  { kept: Uint8Array; count: number } | null {
  if (!text && !status) return null;
  const small = text.toLowerCase(), wanted = STATUSES.indexOf(status as never);
  const named = calls.names.map((name) => !text || name.toLowerCase().includes(small));
  const kept = new Uint8Array(calls.count);
  let count = 0;
  for (let p = 0; p < calls.count; p++) {
    if (wanted >= 0 && calls.status[p] !== wanted) continue;
    if (!named[calls.node[p]!] && !seqs.has(calls.seq[p]!)) continue;
    count++;
    kept[p] = 2;
    for (let up = calls.above[p]!; up >= 0 && !kept[up]; up = calls.above[up]!) kept[up] = 1;
  }
  return { kept, count };
}

/** Beginnings of arguments and results, of the calls on the screen only. */
function usePreviews(model: Model) {
  const held = useRef(new Map<number, Preview>());
  const [, drawn] = useState(0);
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  const ask = (places: number[]) => {
    const { calls } = model;
    clearTimeout(timer.current);
    timer.current = setTimeout(async () => {
      const seqs = places.filter((p) => {
        const old = held.current.get(calls.seq[p]!);
        return !old || (old.results === null && old.error === null && calls.status[p] !== RUNNING
          && !(old as { over?: boolean }).over);
      }).map((p) => calls.seq[p]!).slice(0, 200);
      if (!seqs.length) return;
      try {
        const list = await json<Preview[]>(runPath(model.name, "/previews?seq=" + seqs.join(",")));
        if (held.current.size > 20_000) held.current.clear();
        for (const one of list) {
          const p = calls.place(one.seq);
          held.current.set(one.seq, Object.assign(one, { over: calls.status[p] !== RUNNING }));
        }
        drawn((n) => n + 1);
      } catch { /* they are asked for again with the next look */ }
    }, 50);
  };
  return { of: (seq: number) => held.current.get(seq), ask };
}

const inside = (list: string) => list.replace(/^\[/, "").replace(/\]$/, "");

export function Tree({ model }: { model: Model }) {
  const { calls } = model, version = model.version.value;
  const text = field("q"), status = field("show"), seq = Number(field("call")) || 0;
  const selected = calls.place(seq);
  const [fold, setFold] = useState<Folding>(() => ({ depth: firstDepth(calls), turned: new Set() }));
  const search = useSearch(model, text), previews = usePreviews(model);
  const list = useRef<ListHandle | null>(null);
  const filter = useMemo(() => keep(calls, text, status, search.seqs),
    [version, text, status, search]);
  const rows = useMemo(() => flatten(calls, fold, filter?.kept ?? null), [version, fold, filter]);
  const end = Math.max(model.now, 1e-9);

  // What is chosen elsewhere is shown here: its callers are opened.
  useEffect(() => {
    if (selected < 0) return;
    const turned = new Set(fold.turned);
    let opened = false;
    if (!filter) for (let up = calls.above[selected]!; up >= 0; up = calls.above[up]!) {
      if (isOpen(calls, fold, up)) continue;
      const name = calls.seq[up]!;
      if (turned.has(name)) turned.delete(name); else turned.add(name);
      opened = true;
    }
    if (opened) setFold({ ...fold, turned });
  }, [seq, selected >= 0]);
  useEffect(() => {
    const at = rows.indexOf(selected);
    if (at >= 0) list.current?.show(at);
  }, [seq, selected >= 0, fold.turned.size]);

  const choose = (p: number | undefined) => {
    if (p !== undefined && p >= 0) change({ call: String(calls.seq[p]) });
  };
  const turn = (p: number) => {
    const turned = new Set(fold.turned), name = calls.seq[p]!;
    if (turned.has(name)) turned.delete(name); else turned.add(name);
    setFold({ ...fold, turned });
  };
  const openNow = (p: number) => calls.first[p]! >= 0
    && (filter ? !fold.turned.has(calls.seq[p]!) : isOpen(calls, fold, p));
  const all = (depth: number) => setFold({ depth, turned: new Set() });

  const press = (event: KeyboardEvent) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const at = rows.indexOf(selected), page = list.current?.page() ?? 10;
    const to = (index: number) => choose(rows[Math.max(0, Math.min(rows.length - 1, index))]);
    switch (event.key) {
      case "ArrowDown": case "j": to(at + 1); break;
      case "ArrowUp": case "k": to(at < 0 ? 0 : at - 1); break;
      case "PageDown": to(at + page); break;
      case "PageUp": to(at - page); break;
      case "Home": to(0); break;
      case "End": to(rows.length - 1); break;
      case "ArrowRight":
        if (selected < 0) to(0);
        else if (!openNow(selected) && calls.first[selected]! >= 0) turn(selected);
        else to(at + 1);
        break;
      case "ArrowLeft":
        if (selected >= 0 && openNow(selected)) turn(selected);
        else if (selected >= 0) choose(calls.above[selected]);
        break;
      case " ": case "Enter":
        if (selected >= 0 && calls.first[selected]! >= 0) turn(selected);
        break;
      case "e": all(Infinity); break;
      case "c": all(1); break;
      default: return;
    }
    event.preventDefault();
  };

  const failures = calls.statuses[FAILED]!;
  return <section class="tree" aria-label="Calls">
    <div class="bar">
      <input id="search" type="search" placeholder="Search calls  ( / )" aria-label="Search calls"
        value={text} onInput={(event) => change({ q: (event.target as HTMLInputElement).value })} />
      {failures > 0 && <button class={`chip ${status === "failed" ? "on" : ""}`}
        aria-pressed={status === "failed"}
        onClick={() => change({ show: status === "failed" ? "" : "failed" })}>
        {grouped(failures)} failed</button>}
      <span class="dim" aria-live="polite">{filter ? `${grouped(filter.count)} found${
        search.done ? "" : "…"}` : ""}</span>
      <span class="space" />
      <button class="icon" title="Open all (e)" aria-label="Open all"
        onClick={() => all(Infinity)}>⊞</button>
      <button class="icon" title="Close all (c)" aria-label="Close all"
        onClick={() => all(1)}>⊟</button>
    </div>
    {rows.length === 0 ? <Empty>{filter ? (search.done ? "No call is like that." : "searching…")
      : "No call is recorded yet."}</Empty>
      : <List class="scroll" id="tree" role="tree" aria-label="Calls" tabIndex={0}
        count={rows.length} height={HEIGHT} handle={list} onKeyDown={press}
        aria-activedescendant={selected >= 0 ? `call-${seq}` : undefined}
        seen={(first, last) => previews.ask([...rows.subarray(first, last + 1)])}
        row={(i, top) => {
          const p = rows[i]!, preview = previews.of(calls.seq[p]!);
          return <Row key={calls.seq[p]} calls={calls} p={p} top={top} end={end} now={model.now}
            chosen={p === selected} open={openNow(p)} preview={preview} found={filter?.kept[p] === 2}
            choose={choose} turn={turn} />;
        }} />}
    {calls.more && <div class="banner">This run has more calls than are shown here:
      <code>railtracks show</code> tells of all.</div>}
  </section>;
}

function Row({ calls, p, top, end, now, chosen, open, preview, found, choose, turn }: {
  calls: Calls; p: number; top: number; end: number; now: number; chosen: boolean; open: boolean;
  preview: Preview | undefined; found: boolean; choose: (p: number) => void; turn: (p: number) => void;
}) {
  const depth = Math.min(calls.depth[p]!, INDENTED), seq = calls.seq[p]!;
  const status = STATUSES[calls.status[p]!]!;
  const from = calls.started[p]!, queued = Number.isNaN(from);
  const to = calls.endOf(p, now), left = (100 * (queued ? calls.spawned[p]! : from)) / end;
  const hidden = calls.failures[p]! - (status === "failed" ? 1 : 0);
  const branch = calls.first[p]! >= 0;
  return <div id={`call-${seq}`} role="treeitem" aria-level={calls.depth[p]! + 1}
    aria-selected={chosen} aria-expanded={branch ? open : undefined}
    class={`call-row${chosen ? " chosen" : ""}${found ? " found" : ""}`}
    style={{ top: `${top}px` }} onClick={() => choose(p)}
    onDblClick={() => { if (branch) turn(p); }}>
    <span class="what" style={{ paddingLeft: `${depth * 14}px` }}>
      <button class={branch ? "fold" : "fold leaf"} tabIndex={-1} aria-hidden="true"
        onClick={(event) => { event.stopPropagation(); if (branch) turn(p); }}>
        {branch ? (open ? "▾" : "▸") : ""}</button>
      <Dot status={status} />
      <b>{calls.name(p)}</b>
      {preview && (status === "failed"
        ? <span class="preview failed">{messageOf(preview.error)}</span>
        : <span class="preview">({preview.args === null ? "…" : inside(preview.args)})
          {preview.results && preview.results !== "[]" ? ` → ${inside(preview.results)}` : ""}
        </span>)}
      {branch && !open && <span class="count">{grouped(calls.below[p]!)}</span>}
      {branch && !open && hidden > 0 && <span class="count failed">{grouped(hidden)} ✕</span>}
    </span>
    <span class="fall" aria-hidden="true"><i class={status} style={{ left: `${Math.min(left, 99.5)}%`,
      width: queued ? "0" : `${Math.max((100 * (to - from)) / end, 0)}%` }} /></span>
    <span class="took mono">{queued ? (status === "running" ? "queued" : "–") : duration(to - from)}</span>
  </div>;
}
