// One run: its head, and the views of it.
import { useEffect, useMemo, useState } from "preact/hooks";
import { STATUSES } from "./api";
import { Calls, FAILED, NONE } from "./calls";
import { chosen, Detail, Summary } from "./detail";
import { counted, duration, exact, grouped, moment } from "./format";
import { Graph } from "./graph";
import { Log } from "./log";
import { Model } from "./model";
import { Badge } from "./parts";
import { address, change, field } from "./place";
import { messageOf } from "./runs";
import { Timeline } from "./timeline";
import { Tree } from "./tree";

const VIEWS = [["", "Tree"], ["timeline", "Timeline"], ["graph", "Graph"], ["log", "Log"]] as const;

/** The seq of the failure after this call, or before it; 0 if there is none. */
function nextFailure(calls: Calls, from: number, step: number): number {
  for (let seq = from + step; seq >= 1 && seq <= calls.newest; seq += step) {
    const p = calls.place(seq);
    if (p >= 0 && calls.status[p] === FAILED) return seq;
  }
  return 0;
}

function Clock({ model }: { model: Model }) {
  const run = model.run.value!, [, again] = useState(0);
  useEffect(() => {
    if (run.status !== "running") return;
    const timer = setInterval(() => again((n) => n + 1), 100);
    return () => clearInterval(timer);
  }, [run.status]);
  const end = run.ended_at ?? (run.status === "running" ? Date.now() / 1000 : NaN);
  return <span class="mono">{duration(end - run.started_at)}</span>;
}

function Head({ model }: { model: Model }) {
  const run = model.run.value!, { calls } = model;
  const view = field("view"), first = run.status === "running" ? NONE : calls.firstFailure();
  const message = messageOf(run.error);
  return <>
    <div class="run-head">
      <h1>{run.name}</h1><Badge status={run.status} /><Clock model={model} />
      <span class="mono">{counted(calls.count, "call")}</span>
      <span class="counts">{STATUSES.map((status, i) => i !== 1 && calls.statuses[i]!
        ? <span key={status} class={`count ${status}`}>{grouped(calls.statuses[i]!)} {status}
        </span> : null)}
      {calls.queued > 0 && <span class="count">{grouped(calls.queued)} queued</span>}</span>
      <span class="dim wide" title={exact(run.started_at)}>{moment(run.started_at)}</span>
      <span class="dim mono wide" title={run.script ?? ""}>{run.id}</span>
      {run.parent_run && <a href={address(run.parent_run, run.parent_call
        ? { call: String(run.parent_call) } : {})}>started by another run</a>}
      <span class="space" />
      <nav class="views" aria-label="Views">{VIEWS.map(([key, title]) => <button key={key}
        class={`view-${key || "tree"} ${view === key ? "on" : ""}`}
        aria-current={view === key ? "page" : undefined}
        onClick={() => change({ view: key }, true)}>{title}</button>)}</nav>
    </div>
    {run.error && <div class="banner failed" role="status"><b>{message || "failed"}</b>
      {first >= 0 && <button onClick={() => change({ call: String(calls.seq[first]), view: "" }, true)}>
        go to the first failure</button>}</div>}
    {run.status === "interrupted" && <div class="banner">Its process was killed: what was
      running then shows as interrupted.</div>}
  </>;
}

export function RunView({ name }: { name: string }) {
  const model = useMemo(() => new Model(name), [name]);
  useEffect(() => () => model.close(), [model]);
  const run = model.run.value, problem = model.problem.value, view = field("view");
  const seq = chosen();
  useEffect(() => { document.title = run ? `${run.name} · Railtracks` : "Railtracks"; },
    [run?.name]);
  useEffect(() => {
    const press = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (/^(INPUT|SELECT|TEXTAREA)$/.test((event.target as HTMLElement).tagName)) return;
      if (event.key !== "n" && event.key !== "p") return;
      const { calls } = model, step = event.key === "n" ? 1 : -1;
      const found = nextFailure(calls, chosen() || (step < 0 ? calls.newest + 1 : 0), step);
      if (found) change({ call: String(found) });
    };
    addEventListener("keydown", press);
    return () => removeEventListener("keydown", press);
  }, [model]);
  if (!run) return <main class="run"><div class={problem ? "banner failed" : "empty dim"}>
    {problem || "…"}{problem && <> <a href="#/">All runs</a></>}</div></main>;
  const side = seq ? <Detail model={model} seq={seq} /> : <Summary model={model} />;
  return <main class={`run view-${view || "tree"}${seq ? " chosen" : ""}`}>
    <Head model={model} />
    {problem && <div class="banner failed" role="alert">{problem}</div>}
    {view === "graph" ? <div class="panes one"><Graph model={model} /></div>
      : view === "log" ? <div class="panes two"><Log model={model} />{side}</div>
        : <div class="panes"><Tree model={model} /><div class="right-side">
          <Timeline model={model} />{side}</div></div>}
  </main>;
}
