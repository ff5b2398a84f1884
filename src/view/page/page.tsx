// The page of 'railtracks view'.
import { signal } from "@preact/signals";
import { render } from "preact";
import { state } from "./live";
import { nextTheme, notice, theme } from "./parts";
import { change, field, place } from "./place";
import { RunView } from "./run";
import { Runs } from "./runs";

const SAID = {
  live: "live", paused: "paused while hidden", lost: "no connection", still: "nothing changes",
};

const KEYS: [string, string][] = [
  ["/", "search"], ["↑ ↓ · j k", "the call, or run, before and after"],
  ["← →", "close and open; to the caller"], ["PageUp PageDown Home End", "further"],
  ["Enter", "open or close; open a run"], ["e · c", "open all, close all"],
  ["n · p", "the next failure, the one before"],
  ["1 2 3 4", "tree, timeline, graph, log"],
  ["w s · + −", "zoom the timeline"], ["a d", "move it"], ["f · 0", "the call, all of it"],
  ["Ctrl + wheel, drag", "zoom and move the timeline"],
  ["Esc", "close; back to the list of runs"], ["?", "this"],
];

function Help({ close }: { close: () => void }) {
  return <div class="over" onClick={close}><div class="help" role="dialog" aria-modal="true"
    aria-label="Keys" onClick={(event) => event.stopPropagation()}>
    <h2>Keys</h2>
    <dl>{KEYS.map(([key, what]) => <div key={key}><dt><kbd>{key}</kbd></dt><dd>{what}</dd></div>)}
    </dl><button onClick={close} ref={(element) => element?.focus()}>Close</button></div></div>;
}

const help = signal(false);

addEventListener("keydown", (event) => {
  const at = event.target as HTMLElement, { run } = place.value;
  const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(at.tagName);
  if (event.key === "Escape") {
    if (help.value) help.value = false;
    else if (typing) at.blur();
    else if (field("call")) change({ call: "" });
    else if (run !== null) location.hash = "#/";
    return;
  }
  if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
  const view = { 1: "", 2: "timeline", 3: "graph", 4: "log" }[event.key];
  if (event.key === "?") help.value = !help.value;
  else if (event.key === "/") document.getElementById("search")?.focus();
  else if (view !== undefined && run !== null) change({ view }, true);
  else if (["ArrowDown", "ArrowUp", "j", "k"].includes(event.key) && at === document.body) {
    const list = document.querySelector<HTMLElement>("main .scroll");
    list?.focus();
    list?.dispatchEvent(new KeyboardEvent("keydown", { key: event.key }));
  } else return;
  event.preventDefault();
});

function Page() {
  const { run } = place.value;
  return <>
    <header class="top">
      <a class="logo" href="#/"><img src="/icon.svg" width="22" height="22" alt="" />
        <span>Railtracks</span></a>
      {run !== null && <a href="#/" class="dim">all runs</a>}
      <span class="space" />
      <span class={`state ${state.value}`} title={SAID[state.value]} role="status">
        <i /> {state.value === "still" ? "" : state.value}</span>
      <button class="icon" onClick={nextTheme} title={`Colours: ${theme.value}`}
        aria-label={`Colours: ${theme.value}`}>{theme.value === "auto" ? "◐"
          : theme.value === "light" ? "☀" : "☾"}</button>
      <button class="icon" onClick={() => { help.value = true; }} title="Keys (?)" aria-label="Keys">?</button>
    </header>
    {run === null ? <Runs /> : <RunView key={run} name={run} />}
    {help.value && <Help close={() => { help.value = false; }} />}
    <div class={notice.value ? "notice on" : "notice"} role="status">{notice.value}</div>
  </>;
}

render(<Page />, document.getElementById("page")!);
