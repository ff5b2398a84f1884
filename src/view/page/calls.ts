// The calls of a run, as columns. A call is its place in them; its seq is its name.
import { binary, query, runPath } from "./api";

export const RUNNING = 0, DONE = 1, FAILED = 2, CANCELLED = 3, INTERRUPTED = 4;
export const NONE = -1;

const HEAD = 40; // bytes before the names

function grown<T extends Float64Array | Uint32Array | Int32Array | Uint8Array>(
  old: T, size: number): T {
  const room = new (old.constructor as new (n: number) => T)(size);
  room.set(old as never);
  return room;
}

export class Calls {
  count = 0;
  newest = 0;               // seq
  origin = 0;               // when the run began
  names: string[] = [];
  more = false;             // there are more than we are told
  spawned = new Float64Array(0);
  started = new Float64Array(0);
  ended = new Float64Array(0);
  seq = new Uint32Array(0);
  parent = new Uint32Array(0);   // seq of the caller
  ordinal = new Uint32Array(0);
  node = new Uint32Array(0);
  status = new Uint8Array(0);
  kind = new Uint8Array(0);
  end = 0;                  // the last thing that is known to have happened

  // Made anew by `derive`:
  above = new Int32Array(0);     // place of the caller
  first = new Int32Array(0);     // of what it called
  next = new Int32Array(0);
  depth = new Int32Array(0);
  below = new Uint32Array(0);    // how many calls
  failures = new Uint32Array(0); // of itself and below
  roots: number[] = [];
  statuses = [0, 0, 0, 0, 0];
  queued = 0;

  private places = new Uint32Array(0);  // of seq: place + 1
  private epoch = 0;
  private version = 0;

  constructor(readonly run: string) {}

  place(seq: number): number { return (this.places[seq] ?? 0) - 1; }

  /** Asks for what is new. Whether anything was. */
  async update(signal?: AbortSignal): Promise<boolean> {
    const fields = { epoch: this.epoch, since: this.version, names: this.names.length };
    return this.take(await binary(runPath(this.run, "/calls" + query(fields)), signal));
  }

  private room(count: number): void {
    if (count <= this.seq.length) return;
    const size = Math.max(count, Math.floor(this.seq.length * 1.5), 256);
    for (const name of ["spawned", "started", "ended", "seq", "parent", "ordinal", "node",
      "status", "kind"] as const) this[name] = grown(this[name] as never, size) as never;
  }

  private take(bytes: ArrayBuffer): boolean {
    const head = new Uint32Array(bytes, 0, 8);
    const [, epoch, version, flags, rows, firstName, nameBytes] = head as unknown as number[];
    if (flags! & 1) {
      this.count = this.newest = 0;
      this.names = [];
      this.places.fill(0);
    }
    this.more = (flags! & 2) !== 0;
    this.epoch = epoch!;
    this.version = version!;
    this.origin = new Float64Array(bytes, 32, 1)[0]!;
    const names = JSON.parse(new TextDecoder().decode(new Uint8Array(bytes, HEAD, nameBytes)));
    this.names.length = firstName!;
    this.names.push(...names);
    if (!rows) return (flags! & 1) !== 0;

    let at = HEAD + nameBytes!;
    const doubles = () => { const a = new Float64Array(bytes, at, rows); at += 8 * rows!; return a; };
    const numbers = () => { const a = new Uint32Array(bytes, at, rows); at += 4 * rows!; return a; };
    const small = () => { const a = new Uint8Array(bytes, at, rows); at += rows!; return a; };
    const spawned = doubles(), started = doubles(), ended = doubles();
    const seq = numbers(), parent = numbers(), ordinal = numbers(), node = numbers();
    const status = small(), kind = small();

    this.room(this.count + rows!);
    for (let i = 0; i < rows!; i++) {
      const name = seq[i]!;
      if (name >= this.places.length)
        this.places = grown(this.places, Math.max(name + 1, this.places.length * 2, 256));
      let p = this.places[name]! - 1;
      if (p < 0) {
        p = this.count++;
        this.places[name] = p + 1;
        if (name > this.newest) this.newest = name;
      }
      this.spawned[p] = spawned[i]!; this.started[p] = started[i]!; this.ended[p] = ended[i]!;
      this.seq[p] = name; this.parent[p] = parent[i]!; this.ordinal[p] = ordinal[i]!;
      this.node[p] = node[i]!; this.status[p] = status[i]!; this.kind[p] = kind[i]!;
    }
    return true;
  }

  /** Works out the tree. `over`: what has not ended never will. */
  derive(over: boolean): void {
    const n = this.count;
    if (this.above.length < n) {
      const size = this.seq.length;
      this.above = new Int32Array(size); this.first = new Int32Array(size);
      this.next = new Int32Array(size); this.depth = new Int32Array(size);
      this.below = new Uint32Array(size); this.failures = new Uint32Array(size);
    }
    const { above, first, next, depth, below, failures, places, status } = this;
    first.fill(NONE, 0, n);
    below.fill(0, 0, n);
    failures.fill(0, 0, n);
    this.statuses = [0, 0, 0, 0, 0];
    this.queued = 0;
    this.roots = [];
    let end = 0;
    for (let seq = 1; seq <= this.newest; seq++) { // a caller comes before what it calls
      const p = places[seq]! - 1;
      if (p < 0) continue;
      const up = this.parent[p]! < seq ? (places[this.parent[p]!] ?? 0) - 1 : NONE;
      above[p] = up;
      depth[p] = up < 0 ? 0 : depth[up]! + 1;
      if (up < 0) this.roots.push(p);
      if (over && status[p] === RUNNING) status[p] = INTERRUPTED;
      if (status[p] === RUNNING && Number.isNaN(this.started[p]!)) this.queued++;
      this.statuses[status[p]!]!++;
      if (this.ended[p]! > end) end = this.ended[p]!;
      if (this.started[p]! > end) end = this.started[p]!;
    }
    for (let seq = this.newest; seq >= 1; seq--) {
      const p = places[seq]! - 1;
      if (p < 0) continue;
      if (status[p] === FAILED) failures[p]!++;
      const up = above[p]!;
      if (up < 0) continue;
      next[p] = first[up]!;
      first[up] = p;
      below[up]! += below[p]! + 1;
      failures[up]! += failures[p]!;
    }
    for (let i = this.roots.length - 1, after = NONE; i >= 0; i--) {
      next[this.roots[i]!] = after;
      after = this.roots[i]!;
    }
    this.end = end;
  }

  /** When it ended, or `now` while it has not; for what will never end, the end of all. */
  endOf(p: number, now: number): number {
    const ended = this.ended[p]!;
    if (!Number.isNaN(ended)) return ended;
    return this.status[p] === RUNNING ? now : Math.max(this.end, this.started[p]!);
  }

  name(p: number): string { return this.names[this.node[p]!] ?? "?"; }

  /** "1.3.1" */
  id(p: number): string {
    const path: number[] = [];
    for (let at = p; at >= 0; at = this.above[at]!) {
      path.push(this.ordinal[at]!);
      if (this.above[at]! < 0 && this.parent[at]! !== 0) return `…~${this.seq[p]}`;
      if (path.length > 127) return `…~${this.seq[p]}`;
    }
    const text = path.reverse().join(".");
    return text.length > 255 ? `…~${this.seq[p]}` : text;
  }

  /** The first failure to come about, lowest in the tree: where it all began. */
  firstFailure(): number {
    let found = NONE, when = Infinity;
    for (let p = 0; p < this.count; p++) {
      if (this.status[p] !== FAILED) continue;
      const cause = this.failures[p]! === 1;
      if (cause && this.ended[p]! < when) { when = this.ended[p]!; found = p; }
    }
    return found;
  }
}
