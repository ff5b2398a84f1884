// All that is recorded of one call.
import { useEffect, useState } from "preact/hooks";
import { Call, json, runPath, Status, STATUSES } from "./api";
import { RUNNING } from "./calls";
import { bytes, counted, duration, exact, grouped } from "./format";
import { CallLog } from "./log";
import type { Model } from "./model";
import { Badge, copy, Dot } from "./parts";
import { address, change, field, place } from "./place";
import { parse, Shown, Value } from "./value";

const link = (seq: number) =>
  address(place.value.run, { ...Object.fromEntries(place.value.fields), call: String(seq) });

/** The list's items, each shown; what is no list, or was cut by us, as it is. */
function Values({ title, text, size, none, more, loading }: { title: string; text: string | null;
  size: number | undefined; none: string; more: () => void; loading: boolean }) {
  const value = text === null || size !== undefined ? null : parse(text);
  return <section class="part"><h3>{title}
    {text !== null && <button class="more" onClick={() => copy(text, title.toLowerCase())}>copy
    </button>}</h3>
    {text === null ? <p class="dim">{none}</p>
      : value?.kind === "list"
        ? value.items.length === 0 ? <p class="dim">nothing</p>
          : <div class="value">{value.items.map((item, i) => <div class="v-item" key={i}>
            <Shown value={item} /></div>)}</div>
        : <pre class="value raw">{text.slice(0, 20_000)}{text.length > 20_000 ? "…" : ""}</pre>}
    {size !== undefined && <button class="more" disabled={loading} onClick={more}>
      {loading ? "loading…" : `load all ${bytes(size)}`}</button>}
  </section>;
}

const textOf = (value: Value | undefined) => !value ? ""
  : value.kind === "text" || value.kind === "plain" ? (value.text === "null" ? "" : value.text) : "";

function Failure({ text }: { text: string }) {
  const value = parse(text);
  const of = (key: string) => value?.kind === "table"
    ? textOf(value.items[value.keys.indexOf(key)]) : "";
  const kind = of("kind"), message = value ? of("message") : text, traceback = of("traceback");
  return <section class="part error"><h3>Error {kind && <span class="kind">{kind}</span>}
    <button class="more" onClick={() => copy(traceback ? `${message}\n${traceback}` : message,
      "error")}>copy</button></h3>
    <p class="message">{message}</p>
    {traceback && <pre class="traceback">{traceback}</pre>}
  </section>;
}

function Times({ model, p, call }: { model: Model; p: number; call: Call }) {
  const { calls } = model, now = model.now;
  const queued = calls.started[p]! - calls.spawned[p]!;
  const took = calls.endOf(p, now) - calls.started[p]!;
  let covered = 0, until = -Infinity;
  const spans: [number, number][] = [];
  for (let c = calls.first[p]!; c >= 0; c = calls.next[c]!) {
    const from = calls.spawned[c]!;
    if (!Number.isNaN(from)) spans.push([from, calls.endOf(c, now)]);
  }
  spans.sort((a, b) => a[0] - b[0]);
  for (const [from, to] of spans) {
    if (to <= until) continue;
    covered += to - Math.max(from, until);
    until = to;
  }
  const own = Math.max(0, took - covered), critical = model.critical.own.get(p);
  const facts: [string, string, string?][] = [["Duration", duration(took)]];
  if (covered > 0) facts.push(["Itself", duration(own)]);
  if (queued > 1e-5) facts.push(["Queued", duration(queued)]);
  if (critical !== undefined) facts.push(["Critical path", duration(critical)]);
  facts.push(["Started", Number.isNaN(calls.started[p]!) ? "not yet"
    : "+" + duration(calls.started[p]!), call.started_at ? exact(call.started_at) : ""],
  ["Called from", call.site ?? "–"],
  ["Call", calls.id(p) + (call.kind === "native" ? " · native" : "")]);
  return <dl class="facts">{facts.map(([name, text, title]) => <div key={name}><dt>{name}</dt>
    <dd class="mono" title={title}>{text}</dd></div>)}</dl>;
}

/** The calls it has made; those of one that was retried are its attempts. */
function Children({ model, p }: { model: Model; p: number }) {
  const { calls } = model, list: number[] = [];
  let many = 0, same = true;
  for (let c = calls.first[p]!; c >= 0; c = calls.next[c]!) {
    if (list.length < 20) list.push(c);
    if (calls.node[c] !== calls.node[p]) same = false;
    many++;
  }
  if (!many) return null;
  return <section class="part">
    <h3>{same ? `Attempts (${grouped(many)})` : `Calls (${grouped(many)})`}</h3>
    <ul class="children">{list.map((c) => <li key={c}><a href={link(calls.seq[c]!)}>
      <Dot status={STATUSES[calls.status[c]!] as Status} />{calls.name(c)}</a>
      <span class="mono dim">{Number.isNaN(calls.started[c]!) ? "queued"
        : duration(calls.endOf(c, model.now) - calls.started[c]!)}</span></li>)}
      {many > list.length && <li class="dim">and {counted(many - list.length, "more call")}</li>}
    </ul></section>;
}

export function Detail({ model, seq }: { model: Model; seq: number }) {
  const { calls } = model, p = calls.place(seq), version = model.version.value;
  const [call, setCall] = useState<Call | null>(null);
  const [problem, setProblem] = useState("");
  const [full, setFull] = useState(0), [loading, setLoading] = useState(false);
  const status = p >= 0 ? calls.status[p] : -1;
  useEffect(() => {
    const stop = new AbortController();
    setProblem("");
    setLoading(full === seq);
    json<Call>(runPath(model.name, `/calls/${seq}${full === seq ? "?full=1" : ""}`), stop.signal)
      .then((found) => { setCall(found); setLoading(false); }, (error: Error) => {
        if (stop.signal.aborted) return;
        setCall(null);
        setLoading(false);
        setProblem(error.message);
      });
    return () => stop.abort();
  }, [model, seq, status, full]);
  void version;
  const close = <button class="icon close" aria-label="Close" title="Close (Esc)"
    onClick={() => change({ call: "" })}>✕</button>;
  if (problem || !call || call.seq !== seq || p < 0)
    return <aside class="detail" aria-label="Call">{close}<p class="dim pad">{problem || "…"}</p>
    </aside>;
  const more = () => setFull(seq);
  const run = model.run.value;
  return <aside class="detail" aria-label="Call" tabIndex={-1} id="detail">
    <header>{close}
      <nav class="callers" aria-label="Callers">{[...call.callers].reverse().slice(0, -1).map(
        (caller) => <span key={caller.seq}><a href={link(caller.seq)}>{caller.node}</a> › </span>)}
      </nav>
      <h2>{call.node}</h2>
      <div class="actions"><Badge status={STATUSES[calls.status[p]!]!} />
        {run && <button onClick={() => copy(`:again ${run.id}/${calls.id(p)}`, "the line for the REPL")}
          title="A line for the REPL that calls this again">copy :again</button>}
        <button onClick={async () => copy(JSON.stringify(await json(runPath(model.name,
          `/calls/${seq}?full=1`)), null, 2), "JSON")}>copy JSON</button>
        <button onClick={() => copy(location.href, "the link")}>copy link</button></div>
    </header>
    <Times model={model} p={p} call={call} />
    {call.error !== null && <Failure text={call.error} />}
    <Values title="Arguments" text={call.args} size={call.args_size} none="not recorded"
      more={more} loading={loading} />
    <Values title="Results" text={call.results} size={call.results_size} loading={loading}
      none={calls.status[p] === RUNNING ? "not yet" : call.error ? "none" : "not recorded"}
      more={more} />
    <CallLog model={model} call={seq} />
    <Children model={model} p={p} />
  </aside>;
}

/** What is shown while no call is chosen: what each node did in this run. */
export function Summary({ model }: { model: Model }) {
  const { calls } = model;
  void model.version.value;
  const by = new Map<number, { took: number[]; failed: number; total: number; critical: number }>();
  for (let p = 0; p < calls.count; p++) {
    let sum = by.get(calls.node[p]!);
    if (!sum) by.set(calls.node[p]!, sum = { took: [], failed: 0, total: 0, critical: 0 });
    if (calls.status[p] === 2) sum.failed++;
    sum.critical += model.critical.own.get(p) ?? 0;
    const took = calls.endOf(p, model.now) - calls.started[p]!;
    if (took >= 0) { sum.took.push(took); sum.total += took; }
  }
  const rows = [...by].sort((a, b) => b[1].total - a[1].total).slice(0, 100);
  const at = (took: number[], part: number) => took[Math.min(took.length - 1,
    Math.floor(took.length * part))]!;
  return <aside class="detail" aria-label="Summary" id="detail">
    <table class="sums"><caption>Nodes</caption><thead><tr><th scope="col">Node</th>
      <th scope="col">Calls</th><th scope="col">Failed</th><th scope="col">p50</th>
      <th scope="col">p95</th><th scope="col">Total</th><th scope="col"
        title="Time on the critical path">Critical</th></tr></thead>
      <tbody>{rows.map(([node, sum]) => {
        const took = Float64Array.from(sum.took).sort() as unknown as number[];
        const name = calls.names[node] ?? "?";
        return <tr key={node}><th scope="row"><a title={name} href={address(place.value.run,
          { ...Object.fromEntries(place.value.fields), q: name })}>{name}</a></th>
          <td>{grouped(sum.took.length)}</td>
          <td class={sum.failed ? "bad" : ""}>{sum.failed ? grouped(sum.failed) : ""}</td>
          <td>{duration(at(took, 0.5))}</td><td>{duration(at(took, 0.95))}</td>
          <td>{duration(sum.total)}</td><td>{sum.critical > 0 ? duration(sum.critical) : ""}</td>
        </tr>;
      })}</tbody></table>
    <p class="dim pad">Choose a call to see all that is recorded of it. <kbd>?</kbd> lists the keys.
    </p>
  </aside>;
}

export const chosen = () => Number(field("call")) || 0;
