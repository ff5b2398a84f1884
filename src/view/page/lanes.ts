// Where calls are drawn: a lane each, as near below their caller's as is free at that time, so
// that calls which follow each other share a lane and calls at the same time never do.
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

export function layOut(calls: Calls): Lanes {
  const n = calls.count, { started, above } = calls;
  const sorted = new Uint32Array(n);
  let begun = 0;
  for (let seq = 1; seq <= calls.newest; seq++) {
    const p = calls.place(seq);
    if (p >= 0 && !Number.isNaN(started[p]!)) sorted[begun++] = p;
  }
  const places = sorted.subarray(0, begun);
  let ordered = true;
  for (let i = 1; i < begun && ordered; i++)
    ordered = started[places[i - 1]!]! <= started[places[i]!]!;
  if (!ordered) places.sort((a, b) => started[a]! - started[b]! || calls.seq[a]! - calls.seq[b]!);

  const lane = new Int32Array(n).fill(NONE), ends = new Ends();
  let count = 0;
  for (let i = 0; i < begun; i++) {
    const p = places[i]!, up = above[p]!;
    const at = ends.free(up >= 0 && lane[up]! >= 0 ? lane[up]! + 1 : 0, started[p]!);
    lane[p] = at;
    ends.set(at, calls.endOf(p, Infinity));
    if (at >= count) count = at + 1;
  }
  const starts = new Uint32Array(count + 1), order = new Uint32Array(begun);
  for (let i = 0; i < begun; i++) starts[lane[places[i]!]! + 1]!++;
  for (let i = 0; i < count; i++) starts[i + 1]! += starts[i]!;
  const filled = starts.slice();
  for (let i = 0; i < begun; i++) order[filled[lane[places[i]!]!]!++] = places[i]!;
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
