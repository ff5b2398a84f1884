// What the server is asked. Everything it answers is text of others: it is shown, never run.

export type Status = "running" | "done" | "failed" | "cancelled" | "interrupted";
export const STATUSES: Status[] = ["running", "done", "failed", "cancelled", "interrupted"];

export interface Run {
  number: number; id: string; name: string; status: Status; calls: number;
  started_at: number; ended_at: number | null; error: string | null;
  script?: string | null; host?: string | null; pid?: number;
  parent_run?: string | null; parent_call?: number;
}

export interface RunList {
  journal: string; runs: Run[]; missing?: boolean;
  next?: { before: number; from: number };
}

export interface Caller { seq: number; ordinal: number; node: string }

export interface Call {
  seq: number; parent: number; ordinal: number; node: string; kind: string; status: Status;
  spawned_at: number | null; started_at: number | null; ended_at: number | null;
  site: string | null;
  args: string | null; results: string | null; error: string | null;
  args_size?: number; results_size?: number; error_size?: number;
  callers: Caller[];
}

export interface Preview { seq: number; args: string | null; results: string | null;
  error: string | null }

export interface LoggedEvent { number: number; call: number; at: number; kind: string;
  value: string | null }

export class Refused extends Error {
  constructor(readonly status: number, message: string) { super(message); }
}

async function ask(path: string, signal?: AbortSignal): Promise<Response> {
  const answer = await fetch(path, { signal, headers: { Accept: "*/*" } });
  if (answer.ok) return answer;
  let message = `${answer.status} ${answer.statusText}`;
  const text = await answer.text();
  try { message = JSON.parse(text).error ?? message; } catch { if (text) message = text.trim(); }
  throw new Refused(answer.status, message);
}

export async function json<T>(path: string, signal?: AbortSignal): Promise<T> {
  return (await ask(path, signal)).json();
}

export async function binary(path: string, signal?: AbortSignal): Promise<ArrayBuffer> {
  return (await ask(path, signal)).arrayBuffer();
}

export function query(fields: Record<string, string | number | undefined>): string {
  const set = new URLSearchParams();
  for (const [name, value] of Object.entries(fields))
    if (value !== undefined && value !== "") set.set(name, String(value));
  const text = set.toString();
  return text && "?" + text;
}

export const runPath = (id: string, rest = "") => `/api/runs/${encodeURIComponent(id)}${rest}`;
