// Where calls are drawn: each below its caller, with all it calls as one block. Blocks that
// follow each other share their lanes; those that overlap in time stand below each other.
import { Calls, NONE } from "./calls";

/** Finds the first lane from `from` on that is free at a time: a tree of minima. */
class Ends {
  private size = 64;
  private least = new Float64Array(128).fill(-Infinity);

  set(lane: number, time: number): void {
    while (lane >= this.size) this.grow();
    let at = lane + this.size;
    this.least[at] = time;
    for (at >>= 1; at >= 1; at >>= 1)
      this.least[at] = Math.min(this.least[2 * at]!, this.least[2 * at + 1]!);
  }

  private grow(): void {
    const old = this.least.subarray(this.size, 2 * this.size);
    const size = this.size * 2, least = new Float64Array(2 * size).fill(-Infinity);
    least.set(old, size);
    for (let i = size - 1; i >= 1; i--) least[i] = Math.min(least[2 * i]!, least[2 * i + 1]!);
    this.size = size;
    this.least = least;
  }

  free(from: number, time: number): number {
    if (from >= this.size) return from;
    let at = from + this.size;
    while (this.least[at]! > time) { // on to the next subtree to the right
      while (at & 1) at >>= 1;
      if (at === 0) return this.size;
      at++;
    }
    while (at < this.size) at = this.least[2 * at]! <= time ? 2 * at : 2 * at + 1;
    return at - this.size;
  }
}

export interface Lanes {
  lane: Int32Array;      // of a place; NONE for a call that has not begun
  count: number;
  starts: Uint32Array;   // of each lane, its first in `order`; one more at the end
  order: Uint32Array;    // places, lane by lane, as they began
}

const SAME = 5e-7; // seconds: what a time since 1970 cannot tell apart

/** Places for blocks of one height, below each other; each is free again when its block ends. */
class Pool {
  readonly ends = new Ends();
  readonly at: number[] = [];
}

/** Puts the calls that `p` has made below it: `rel` says how far. Returns what they take. */
function pack(calls: Calls, list: number[], height: Uint32Array, rel: Uint32Array): number {
  const { started } = calls;
  let most = 0, total = 0, clusterEnd = -Infinity;
  let pools = new Map<number, Pool>();
  for (let i = 0; i < list.length; i++) {
    const c = list[i]!, from = started[c]! + SAME, to = calls.endOf(c, Infinity), h = height[c]!;
    if (from >= clusterEnd) { // nothing runs any more: begin anew, at the top
      total = 0;
      if (pools.size) pools = new Map();
      const next = list[i + 1];
      if (next === undefined || started[next]! + SAME >= to) { // nothing runs beside it
        rel[c] = 0;
        most = Math.max(most, h);
        continue;
      }
    }
    clusterEnd = Math.max(clusterEnd, to);
    let pool = pools.get(h);
    if (!pool) pools.set(h, pool = new Pool());
    const slot = pool.ends.free(0, from);
    if (slot >= pool.at.length) {
      pool.at[slot] = total;
      total += h;
      most = Math.max(most, total);
    }
    pool.ends.set(slot, to);
    rel[c] = pool.at[slot]!;
  }
  return most;
}

export function layOut(calls: Calls): Lanes {
  const n = calls.count, { started, above, first, next } = calls;
  const height = new Uint32Array(n).fill(1), rel = new Uint32Array(n);
  const begun = (p: number) => !Number.isNaN(started[p]!);
  const byStart = (a: number, b: number) => started[a]! - started[b]! || calls.seq[a]! - calls.seq[b]!;

  const below = (from: number) => {
    const list: number[] = [];
    let ordered = true;
    for (let c = from; c >= 0; c = next[c]!) {
      if (!begun(c)) continue;
      if (list.length && started[list[list.length - 1]!]! > started[c]!) ordered = false;
      list.push(c);
    }
    return ordered ? list : list.sort(byStart);
  };
  for (let seq = calls.newest; seq >= 1; seq--) { // what is called comes after its caller
    const p = calls.place(seq);
    if (p >= 0 && first[p]! >= 0) height[p] = 1 + pack(calls, below(first[p]!), height, rel);
  }
  pack(calls, below(calls.roots[0] ?? NONE), height, rel);

  const lane = new Int32Array(n).fill(NONE), places = new Uint32Array(n);
  let count = 0, all = 0, ordered = true;
  for (let seq = 1; seq <= calls.newest; seq++) {
    const p = calls.place(seq);
    if (p < 0 || !begun(p)) continue;
    const up = above[p]!;
    lane[p] = (up >= 0 && lane[up]! >= 0 ? lane[up]! + 1 : 0) + rel[p]!;
    if (lane[p]! >= count) count = lane[p]! + 1;
    if (all && started[places[all - 1]!]! > started[p]!) ordered = false;
    places[all++] = p;
  }
  const sorted = places.subarray(0, all);
  if (!ordered) sorted.sort(byStart);
  const starts = new Uint32Array(count + 1), order = new Uint32Array(all);
  for (const p of sorted) starts[lane[p]! + 1]!++;
  for (let i = 0; i < count; i++) starts[i + 1]! += starts[i]!;
  const filled = starts.slice();
  for (const p of sorted) order[filled[lane[p]!]!++] = p;
  return { lane, count, starts, order };
}

/** What the run's end waited for, from the end backwards: per call the times it was its turn. */
export interface Critical { segments: Map<number, number[]>; own: Map<number, number> }

export function criticalPath(calls: Calls, now: number): Critical {
  const segments = new Map<number, number[]>(), own = new Map<number, number>();
  const emit = (p: number, from: number, to: number) => {
    if (!(to > from)) return;
    const list = segments.get(p);
    if (list) list.push(from, to); else segments.set(p, [from, to]);
    own.set(p, (own.get(p) ?? 0) + to - from);
  };
  const childrenByEnd = (p: number) => {
    const list: number[] = [];
    for (let c = calls.first[p]!; c >= 0; c = calls.next[c]!)
      if (!Number.isNaN(calls.started[c]!)) list.push(c);
    return list.sort((a, b) => calls.endOf(b, now) - calls.endOf(a, now));
  };
  const root = calls.roots[0];
  if (root === undefined || Number.isNaN(calls.started[root]!)) return { segments, own };
  const stack = [{ p: root, time: calls.endOf(root, now), list: childrenByEnd(root), at: 0 }];
  while (stack.length) {
    const top = stack[stack.length - 1]!, from = calls.started[top.p]!;
    const child = top.list[top.at++];
    if (child === undefined || top.time <= from) {
      emit(top.p, from, top.time);
      stack.pop();
      continue;
    }
    const end = calls.endOf(child, now), spawned = calls.spawned[child]!;
    if (end > top.time + 1e-9 || spawned >= top.time) continue;
    emit(top.p, end, top.time);
    top.time = Number.isNaN(spawned) ? calls.started[child]! : spawned;
    stack.push({ p: child, time: end, list: childrenByEnd(child), at: 0 });
  }
  return { segments, own };
}
