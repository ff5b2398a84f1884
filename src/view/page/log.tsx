// What a run, or one call of it, has logged and broadcast.
import { useEffect, useRef, useState } from "preact/hooks";
import { json, LoggedEvent, query, runPath } from "./api";
import { duration } from "./format";
import { List } from "./list";
import type { Model } from "./model";
import { Empty } from "./parts";
import { change } from "./place";
import { parse, Value } from "./value";

const HEIGHT = 26;

const plain = (value: Value | undefined): string => !value ? ""
  : value.kind === "text" || value.kind === "plain" ? value.text : "";

/** The level, the message and the rest of what was logged; a broadcast is all rest. */
function read(event: LoggedEvent): { level: string; message: string; rest: string } {
  const value = event.value === null ? null : parse(event.value);
  if (event.kind === "log" && value?.kind === "table") {
    const of = (key: string) => value.items[value.keys.indexOf(key)];
    const pairs = (table: Value | undefined): string[] => table?.kind !== "table" ? []
      : table.keys.flatMap((key, i) => key === "level" || key === "message" ? []
        : key === "fields" ? pairs(table.items[i]) : [`${key}=${plain(table.items[i]) || "…"}`]);
    const rest = pairs(value).join(" ");
    return { level: plain(of("level")) || "info", message: plain(of("message")), rest };
  }
  return { level: event.kind, message: "", rest: event.value ?? "" };
}

/** Reads events behind those held, as long as there are more. */
function useEvents(model: Model, call: number) {
  const [events, setEvents] = useState<LoggedEvent[]>([]);
  const held = useRef<{ list: LoggedEvent[]; after: number }>({ list: [], after: 0 });
  const version = model.version.value;
  useEffect(() => { held.current = { list: [], after: 0 }; setEvents([]); }, [model, call]);
  useEffect(() => {
    const stop = new AbortController();
    void (async () => {
      try {
        for (let more: number | null = 0; more !== null && held.current.list.length < 100_000;) {
          const answer: { events: LoggedEvent[]; next: number | null } = await json(
            runPath(model.name, "/events" + query({ after: held.current.after,
              call: call || undefined, limit: call ? 500 : 5000 })), stop.signal);
          const last = answer.events[answer.events.length - 1];
          if (last) {
            held.current = { list: [...held.current.list, ...answer.events], after: last.number };
            setEvents(held.current.list);
          }
          more = answer.next;
        }
      } catch { /* asked again when there is something new */ }
    })();
    return () => stop.abort();
  }, [model, call, version]);
  return events;
}

export function Log({ model }: { model: Model }) {
  const events = useEvents(model, 0), { calls } = model;
  const [level, setLevel] = useState("");
  const shown = level ? events.filter((event) => read(event).level === level) : events;
  return <section class="log" aria-label="Log">
    <div class="bar"><span class="title">Log</span>
      {["debug", "info", "warning", "error", "broadcast"].map((name) => <button key={name}
        class={`chip ${level === name ? "on" : ""}`} aria-pressed={level === name}
        onClick={() => setLevel(level === name ? "" : name)}>{name}</button>)}</div>
    {shown.length === 0 ? <Empty><p>Nothing was logged.</p>
      <p class="dim">rt.log.info("…") and rt.broadcast(…) come here.</p></Empty>
      : <List class="scroll" tabIndex={0} role="log" aria-label="Log lines" count={shown.length}
        height={HEIGHT} row={(i, top) => {
          const event = shown[i]!, told = read(event), p = calls.place(event.call);
          return <div class={`log-row ${told.level}`} key={event.number} style={{ top: `${top}px` }}
            onClick={() => { if (p >= 0) change({ call: String(event.call) }, true); }}>
            <span class="mono dim">{duration(event.at - calls.origin)}</span>
            <span class="level">{told.level}</span>
            <span class="dim who">{p >= 0 ? calls.name(p) : ""}</span>
            <span class="said">{told.message} <span class="dim mono">{told.rest}</span></span></div>;
        }} />}
  </section>;
}

export function CallLog({ model, call }: { model: Model; call: number }) {
  const events = useEvents(model, call);
  if (!events.length) return null;
  return <section class="part"><h3>Log</h3>
    <div class="lines">{events.slice(0, 500).map((event) => {
      const told = read(event);
      return <div class={`line ${told.level}`} key={event.number}>
        <span class="mono dim">{duration(event.at - model.calls.origin)}</span>{" "}
        <span class="level">{told.level}</span> {told.message}{" "}
        <span class="dim mono">{told.rest}</span></div>;
    })}</div></section>;
}
