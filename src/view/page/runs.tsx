// The list of runs: newest first, filtered, as long as one cares to scroll.
import { useEffect, useRef, useState } from "preact/hooks";
import { json, query, Run, RunList, Status, STATUSES } from "./api";
import { duration, exact, grouped, moment } from "./format";
import { List, ListHandle } from "./list";
import { changes, wanted } from "./live";
import { parse } from "./value";
import { Badge, Empty } from "./parts";
import { address, change, field, place } from "./place";

const PAGE = 100, HEIGHT = 44;
const TIMES: [string, string, number][] = [["", "any time", 0], ["1h", "last hour", 3600],
  ["24h", "last day", 86400], ["7d", "last week", 604800], ["30d", "last month", 2592000]];

const filters = () => ({ status: field("status"), name: field("name"), text: field("text") });

function path(next?: RunList["next"]): string {
  const span = TIMES.find(([key]) => key === field("time"))?.[2] ?? 0;
  const since = span ? (Date.now() / 1000 - span).toFixed(3) : "";
  return "/api/runs" + query({ ...filters(), since, limit: PAGE, before: next?.before,
    from: next?.from });
}

/** The error's message, of what may be cut. */
export function messageOf(error: string | null): string {
  if (!error) return "";
  const value = parse(error);
  if (value?.kind === "table") {
    const at = value.keys.indexOf("message"), found = value.items[at];
    if (found?.kind === "text") return found.text;
    if (found?.kind === "plain") return found.text;
  }
  return /"message":"((?:[^"\\]|\\.)*)/.exec(error)?.[1] ?? error;
}

interface Held { runs: Run[]; next?: RunList["next"]; journal: string; missing: boolean }

export function Runs() {
  const [held, setHeld] = useState<Held | null>(null);
  const [problem, setProblem] = useState("");
  const [searching, setSearching] = useState(false);
  const [chosen, setChosen] = useState(0);
  const busy = useRef(false), list = useRef<ListHandle | null>(null);
  const asked = useRef(0);
  const key = place.value.fields.toString();

  /** Reads on from `next` until a page has come, as a search comes in pieces. */
  const read = async (next: RunList["next"] | undefined, start: Run[], turn: number) => {
    const runs = [...start];
    let before = next, found: RunList;
    do {
      found = await json<RunList>(path(before));
      if (turn !== asked.current) return;
      runs.push(...found.runs);
      before = found.next;
      setSearching(!!before && before.from > 0);
      setHeld({ runs: [...runs], next: before, journal: found.journal,
        missing: !!found.missing });
      setProblem("");
    } while (before && runs.length - start.length < PAGE);
    setSearching(false);
  };
  const guarded = async (work: () => Promise<void>) => {
    busy.current = true;
    try { await work(); } catch (error) { setProblem(String((error as Error).message)); }
    busy.current = false;
  };

  useEffect(() => { document.title = "Railtracks"; wanted.value = true; }, []);
  useEffect(() => {
    const turn = ++asked.current;
    setChosen(0);
    void guarded(() => read(undefined, [], turn));
  }, [key]);

  // What is new comes to the top; what is shown already is brought up to date.
  const news = changes.value;
  useEffect(() => {
    if (news === 0 || busy.current) return;
    const turn = asked.current;
    void guarded(async () => {
      const found = await json<RunList>(path());
      if (turn !== asked.current) return;
      setHeld((old) => {
        if (!old) return old;
        const last = found.runs[found.runs.length - 1]?.number ?? Infinity;
        const older = found.next ? old.runs.filter((run) => run.number < last) : [];
        return { ...old, runs: [...found.runs, ...older], missing: !!found.missing,
          next: older.length ? old.next : found.next };
      });
    });
  }, [news]);

  const runs = held?.runs ?? [], [, again] = useState(0);
  const going = runs.some((run) => run.status === "running");
  useEffect(() => { // their durations grow
    if (!going) return;
    const timer = setInterval(() => again((n) => n + 1), 1000);
    return () => clearInterval(timer);
  }, [going]);
  const open = (index: number) => {
    const run = runs[index];
    if (run) location.hash = address(run.id);
  };
  const move = (to: number) => {
    const index = Math.max(0, Math.min(runs.length - 1, to));
    setChosen(index);
    list.current?.show(index);
  };
  const press = (event: KeyboardEvent) => {
    const page = list.current?.page() ?? 10;
    const steps: Record<string, number> = { ArrowDown: chosen + 1, ArrowUp: chosen - 1,
      PageDown: chosen + page, PageUp: chosen - page, Home: 0, End: runs.length - 1,
      j: chosen + 1, k: chosen - 1 };
    if (event.key === "Enter") open(chosen);
    else if (event.key in steps) move(steps[event.key]!);
    else return;
    event.preventDefault();
  };
  const more = (_: number, last: number) => {
    if (!held?.next || busy.current || last < runs.length - 20) return;
    const turn = asked.current;
    void guarded(() => read(held.next, held.runs, turn));
  };

  return <main class="runs">
    <Filters searching={searching} />
    {problem && <div class="banner failed" role="alert">{problem}</div>}
    <div class="run-row head" aria-hidden="true">
      <span>Status</span><span>Run</span><span class="wide">Started</span>
      <span class="right">Duration</span><span class="right wide">Calls</span></div>
    {held && runs.length === 0 && !searching
      ? <Nothing held={held} />
      : <List class="scroll" role="listbox" aria-label="Runs" tabIndex={0} count={runs.length}
        height={HEIGHT} handle={list} seen={more} onKeyDown={press}
        aria-activedescendant={runs[chosen] ? `run-${runs[chosen]!.number}` : undefined}
        row={(i, top) => <Row run={runs[i]!} top={top} chosen={i === chosen} key={runs[i]!.number}
          index={i} total={held?.next ? -1 : runs.length} />} />}
  </main>;
}

function Row({ run, top, chosen, index, total }:
  { run: Run; top: number; chosen: boolean; index: number; total: number }) {
  const until = run.ended_at ?? (run.status === "running" ? Date.now() / 1000 : NaN);
  const error = messageOf(run.error);
  return <a class={`run-row${chosen ? " chosen" : ""}`} style={{ top: `${top}px` }}
    href={address(run.id)} role="option" id={`run-${run.number}`} aria-selected={chosen}
    aria-posinset={index + 1} aria-setsize={total} tabIndex={-1}>
    <span><Badge status={run.status} /></span>
    <span class="run-name"><b>{run.name}</b> <span class="dim mono">{run.id.slice(-12)}</span>
      {error && <span class="error-line">{error}</span>}</span>
    <span class="wide dim" title={exact(run.started_at)}>{moment(run.started_at)}</span>
    <span class="right mono">{duration(until - run.started_at)}</span>
    <span class="right wide mono">{grouped(run.calls)}</span>
  </a>;
}

function Nothing({ held }: { held: Held }) {
  const { status, name, text } = filters();
  if (status || name || text || field("time")) return <Empty>
    <p>No run is like that.</p>
    <p><button onClick={() => change({ status: "", name: "", text: "", time: "" })}>Show all runs
    </button></p></Empty>;
  return <Empty><p><b>No runs yet.</b></p>
    <p>Run a script, and it appears here while it runs:</p>
    <pre>railtracks run hello.lua</pre>
    <p class="dim">{held.missing ? "The journal will be" : "The journal is"} {held.journal}</p>
  </Empty>;
}

function Filters({ searching }: { searching: boolean }) {
  const now = filters();
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  const typed = (name: string) => (event: Event) => {
    const { value } = event.target as HTMLInputElement;
    clearTimeout(timer.current);
    timer.current = setTimeout(() => change({ [name]: value }), 250);
  };
  return <div class="filters" role="search">
    <div class="chips" role="group" aria-label="Status">
      <button class={now.status ? "chip" : "chip on"} aria-pressed={!now.status}
        onClick={() => change({ status: "" })}>all</button>
      {STATUSES.map((status: Status) => <button key={status} aria-pressed={now.status === status}
        class={`chip ${now.status === status ? "on" : ""}`}
        onClick={() => change({ status: now.status === status ? "" : status })}>
        {status}</button>)}
    </div>
    <input id="search" type="search" placeholder="Name or id" aria-label="Name or id"
      defaultValue={now.name} onInput={typed("name")} />
    <input type="search" placeholder="Text in arguments, results, errors"
      aria-label="Text in arguments, results, errors" defaultValue={now.text}
      onInput={typed("text")} class="long" />
    <select aria-label="Time" value={field("time")}
      onChange={(event) => change({ time: (event.target as HTMLSelectElement).value })}>
      {TIMES.map(([key, title]) => <option key={key} value={key}>{title}</option>)}
    </select>
    <span class="dim searching" aria-live="polite">{searching ? "searching…" : ""}</span>
  </div>;
}
