// Small things that all views have.
import { signal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import type { Status } from "./api";

const MARKS: Record<Status, string> = {
  running: "", done: "✓", failed: "✕", cancelled: "⊘", interrupted: "!",
};

export function Dot({ status }: { status: Status }) {
  return <span class={`dot ${status}`} title={status} aria-hidden="true">{MARKS[status]}</span>;
}

export function Badge({ status }: { status: Status }) {
  return <span class={`badge ${status}`}><Dot status={status} />{status}</span>;
}

/** What has just been done, said for a moment. */
export const notice = signal("");
let timer: ReturnType<typeof setTimeout> | undefined;

export function say(text: string): void {
  notice.value = text;
  clearTimeout(timer);
  timer = setTimeout(() => { notice.value = ""; }, 1800);
}

export async function copy(text: string, what: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
  } catch { // only given to pages of this machine, or with TLS
    const area = document.createElement("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  say(`copied ${what}`);
}

export function Empty({ children }: { children: ComponentChildren }) {
  return <div class="empty">{children}</div>;
}

// ---- light and dark ----

export type Theme = "auto" | "light" | "dark";
const stored = localStorage.getItem("theme");
export const theme = signal<Theme>(stored === "light" || stored === "dark" ? stored : "auto");
/** Changes with what is really shown: what is drawn on a canvas is drawn again. */
export const shade = signal(0);

function show(): void {
  if (theme.value === "auto") delete document.documentElement.dataset["theme"];
  else document.documentElement.dataset["theme"] = theme.value;
  shade.value++;
}
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", show);
theme.subscribe((value) => {
  if (value === "auto") localStorage.removeItem("theme"); else localStorage.setItem("theme", value);
  show();
});

export function nextTheme(): void {
  theme.value = theme.value === "auto" ? "light" : theme.value === "light" ? "dark" : "auto";
}
