// Where we are: the part of the address behind '#'. Every view has one, so that each can be
// linked to, and Back goes back.
import { signal } from "@preact/signals";

export interface Place { run: string | null; fields: URLSearchParams }

function read(): Place {
  const [path, rest] = location.hash.replace(/^#/, "").split("?", 2);
  const found = /^\/run\/([^/]+)$/.exec(path ?? "");
  let run: string | null = null;
  try { run = found ? decodeURIComponent(found[1]!) : null; } catch { /* not one of ours */ }
  return { run, fields: new URLSearchParams(rest ?? "") };
}

export const place = signal<Place>(read());
addEventListener("hashchange", () => { place.value = read(); });

export function address(run: string | null, fields: Record<string, string> = {}): string {
  const rest = new URLSearchParams(Object.entries(fields).filter(([, value]) => value !== ""));
  return `#${run === null ? "/" : "/run/" + encodeURIComponent(run)}${
    rest.size ? "?" + rest : ""}`;
}

/** Changes fields of the address ("" takes one out); `step` makes it a step for Back. */
export function change(fields: Record<string, string>, step = false): void {
  const all = Object.fromEntries(place.value.fields);
  const next = address(place.value.run, { ...all, ...fields });
  if (next === location.hash) return;
  if (step) history.pushState(null, "", next);
  else history.replaceState(null, "", next);
  place.value = read();
}

export const field = (name: string) => place.value.fields.get(name) ?? "";
