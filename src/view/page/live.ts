// The stream of changes. It is open only while somebody looks, as a browser allows six
// connections to a server and every tab has one; it goes on behind the last change it told of.
import { effect, signal } from "@preact/signals";

/** Counts what the stream has told; whoever reads it is told again. */
export const changes = signal(0);
/** Whether something is shown that can still change. */
export const wanted = signal(true);
export const state = signal<"live" | "paused" | "lost" | "still">("still");

let source: EventSource | null = null;
let last = "";
let heard = 0;
let retry: ReturnType<typeof setTimeout> | undefined;

const visible = signal(!document.hidden);
document.addEventListener("visibilitychange", () => { visible.value = !document.hidden; });

function close(): void {
  clearTimeout(retry);
  source?.close();
  source = null;
}

function open(): void {
  close();
  source = new EventSource("/api/stream" + (last && "?last=" + encodeURIComponent(last)));
  const hear = () => { heard = Date.now(); state.value = "live"; };
  source.addEventListener("open", hear);
  source.addEventListener("beat", hear);
  source.addEventListener("change", (event) => {
    last = (event as MessageEvent).lastEventId;
    hear();
    changes.value++;
  });
  source.addEventListener("error", () => {
    state.value = "lost";
    close();
    retry = setTimeout(() => { if (wanted.value && visible.value) open(); }, 2000);
  });
}

// A connection can end without anybody being told.
setInterval(() => { if (source && Date.now() - heard > 40_000) open(); }, 5000);

effect(() => {
  if (wanted.value && visible.value) {
    heard = Date.now();
    open();
  } else {
    close();
    state.value = wanted.value ? "paused" : "still";
  }
});
addEventListener("pagehide", close);
