// The calls over time, on a canvas: a lane for what runs at once, a colour for each node.
//
// A bar is a call from the start of its body to its end: strong where it works (or waits for
// something that is no call), soft where it waits for calls that it has made, hatched before it
// where it was queued.
import { useEffect, useRef, useState } from "preact/hooks";
import { STATUSES } from "./api";
import { CANCELLED, FAILED, INTERRUPTED } from "./calls";
import { isDark, Paint, paintsOf } from "./colours";
import { counted, duration, tick } from "./format";
import type { Model } from "./model";
import { shade } from "./parts";
import { change, field } from "./place";

const AXIS = 22, MAP = 26, TOP = AXIS + MAP, LANE = 20, BAR = 16, LETTER = 6.9;
const SPAN_LEAST = 2e-6;

interface View { from: number; to: number; y: number }

function niceStep(span: number, width: number): number {
  const raw = (span / width) * 90, power = 10 ** Math.floor(Math.log10(raw));
  return [1, 2, 5, 10].map((n) => n * power).find((step) => step >= raw)!;
}

class Drawing {
  view: View = { from: 0, to: 1, y: 0 };
  follows = true;              // shows all there is, as it grows
  hover = -1;
  selected = -1;
  critical = true;
  width = 0;
  height = 0;
  private paints: Paint[] = [];
  private paintsFor = "";
  private css: Record<string, string> = {};
  private ask = 0;
  private density: { version: number; bins: Float64Array } | null = null;
  private hatch: CanvasPattern | null = null;

  constructor(readonly canvas: HTMLCanvasElement, readonly model: Model) {}

  get whole(): number { return Math.max(this.model.now, 1e-5); }

  lookUp(): void {
    const style = getComputedStyle(this.canvas);
    for (const name of ["bg", "line", "dim", "text", "failed", "accent", "cancelled", "soft", "critical"])
      this.css[name] = style.getPropertyValue(`--${name}`).trim();
    this.paintsFor = "";
    const tile = document.createElement("canvas");
    tile.width = tile.height = 6;
    const ink = tile.getContext("2d")!;
    ink.strokeStyle = this.css["dim"]!;
    ink.globalAlpha = 0.55;
    ink.beginPath();
    ink.moveTo(-1, 7); ink.lineTo(7, -1); ink.moveTo(-4, 4); ink.lineTo(4, -4);
    ink.moveTo(2, 10); ink.lineTo(10, 2);
    ink.stroke();
    this.hatch = this.canvas.getContext("2d")!.createPattern(tile, "repeat");
    this.later();
  }

  later(): void {
    if (!this.ask) this.ask = requestAnimationFrame(() => { this.ask = 0; this.draw(); });
  }

  private paint(node: number): Paint {
    const dark = isDark(), { names } = this.model.calls, key = `${dark}${names.length}`;
    if (this.paintsFor !== key) {
      this.paints = paintsOf(names, dark);
      this.paintsFor = key;
    }
    return this.paints[node]!;
  }

  clamp(): void {
    const { view, whole } = this;
    const span = Math.min(Math.max(view.to - view.from, SPAN_LEAST), whole * 1.02);
    view.from = Math.max(-0.01 * whole, Math.min(view.from, whole * 1.01 - span));
    view.to = view.from + span;
    const content = this.model.lanes.count * LANE + 8;
    view.y = Math.max(0, Math.min(view.y, content - (this.height - TOP)));
  }

  fit(): void { this.view = { ...this.view, from: 0, to: this.whole }; this.follows = true; this.later(); }

  zoom(factor: number, x: number): void {
    const { view } = this, at = view.from + ((view.to - view.from) * x) / this.width;
    view.from = at - (at - view.from) * factor;
    view.to = at + (view.to - at) * factor;
    this.follows = view.to - view.from >= this.whole;
    this.clamp();
    this.later();
  }

  pan(x: number, y: number): void {
    const { view } = this, time = ((view.to - view.from) * x) / this.width;
    if (x) this.follows = false;
    view.from += time;
    view.to += time;
    view.y += y;
    this.clamp();
    this.later();
  }

  show(p: number, close: boolean): void {
    const { calls, lanes } = this.model, lane = lanes.lane[p] ?? -1;
    if (lane < 0) return;
    const from = calls.started[p]!, to = calls.endOf(p, this.model.now), { view } = this;
    const y = lane * LANE;
    if (y < view.y || y > view.y + this.height - TOP - LANE)
      view.y = y - (this.height - TOP) / 2;
    if (close) {
      const room = Math.max((to - from) * 0.08, SPAN_LEAST);
      view.from = from - room;
      view.to = to + room;
      this.follows = false;
    } else if (from > view.to || to < view.from) {
      const span = view.to - view.from;
      view.from = (from + to) / 2 - span / 2;
      view.to = view.from + span;
      this.follows = false;
    }
    this.clamp();
    this.later();
  }

  at(x: number, y: number): number {
    if (y < TOP) return -1;
    const { calls, lanes } = this.model, lane = Math.floor((y - TOP + this.view.y) / LANE);
    if (lane < 0 || lane >= lanes.count) return -1;
    const scale = (this.view.to - this.view.from) / this.width;
    const time = this.view.from + x * scale, slack = 2 * scale;
    let low = lanes.starts[lane]!, high = lanes.starts[lane + 1]!;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (calls.started[lanes.order[middle]!]! <= time + slack) low = middle + 1; else high = middle;
    }
    const p = low > lanes.starts[lane]! ? lanes.order[low - 1]! : -1;
    return p >= 0 && calls.endOf(p, this.model.now) + slack >= time ? p : -1;
  }

  draw(): void {
    const { canvas } = this, ratio = devicePixelRatio || 1;
    const ink = canvas.getContext("2d")!;
    const w = Math.round(this.width * ratio), h = Math.round(this.height * ratio);
    if (canvas.width !== w || canvas.height !== h) { canvas.width = w; canvas.height = h; }
    ink.setTransform(ratio, 0, 0, ratio, 0, 0);
    if (this.follows) { this.view.from = 0; this.view.to = this.whole; }
    this.clamp();
    ink.fillStyle = this.css["bg"]!;
    ink.fillRect(0, 0, this.width, this.height);
    this.drawGrid(ink);
    this.drawBars(ink);
    this.drawAxis(ink);
  }

  private drawGrid(ink: CanvasRenderingContext2D): void {
    const { view, width } = this, span = view.to - view.from, step = niceStep(span, width);
    ink.fillStyle = this.css["soft"]!;
    for (let t = Math.ceil(view.from / step) * step; t <= view.to; t += step)
      ink.fillRect(Math.round(((t - view.from) / span) * width), TOP, 1, this.height - TOP);
  }

  private drawAxis(ink: CanvasRenderingContext2D): void {
    const { view, width, css, whole } = this, span = view.to - view.from;
    ink.fillStyle = css["bg"]!;
    ink.fillRect(0, 0, width, TOP);
    this.drawMap(ink, whole);
    ink.font = "11px system-ui, sans-serif";
    ink.textBaseline = "middle";
    ink.strokeStyle = css["line"]!;
    ink.lineWidth = 1;
    const step = niceStep(span, width);
    for (let t = Math.ceil(view.from / step) * step; t <= view.to; t += step) {
      const x = Math.round(((t - view.from) / span) * width) + 0.5;
      ink.beginPath(); ink.moveTo(x, TOP - 6); ink.lineTo(x, TOP); ink.stroke();
      ink.fillStyle = css["dim"]!;
      ink.fillText(tick(t, step), x + 4, MAP + AXIS / 2);
    }
    ink.beginPath(); ink.moveTo(0, TOP - 0.5); ink.lineTo(width, TOP - 0.5); ink.stroke();
  }

  /** How much runs when, in all; the part that is shown stands out. */
  private drawMap(ink: CanvasRenderingContext2D, whole: number): void {
    const { calls } = this.model, version = this.model.version.peek(), bins = 240;
    if (!this.density || this.density.version !== version) {
      const delta = new Float64Array(bins + 1), scale = bins / whole;
      for (let p = 0; p < calls.count; p++) {
        const from = calls.started[p]!;
        if (Number.isNaN(from) || calls.first[p]! >= 0) continue;
        delta[Math.min(bins - 1, Math.floor(from * scale))]! += 1;
        delta[Math.min(bins, Math.floor(calls.endOf(p, whole) * scale) + 1)]! -= 1;
      }
      for (let i = 1; i < bins; i++) delta[i]! += delta[i - 1]!;
      this.density = { version, bins: delta };
    }
    let most = 1;
    for (let i = 0; i < bins; i++) most = Math.max(most, this.density.bins[i]!);
    const step = this.width / bins;
    ink.fillStyle = this.css["accent"]!;
    ink.globalAlpha = 0.35;
    for (let i = 0; i < bins; i++) {
      const value = this.density.bins[i]!;
      if (value <= 0) continue;
      const tall = 2 + (MAP - 6) * Math.sqrt(value / most);
      ink.fillRect(i * step, MAP - 2 - tall, Math.ceil(step), tall);
    }
    ink.globalAlpha = 1;
    const from = (Math.max(0, this.view.from) / whole) * this.width;
    const to = (Math.min(whole, this.view.to) / whole) * this.width;
    if (to - from < this.width - 2) {
      ink.fillStyle = this.css["bg"]!;
      ink.globalAlpha = 0.65;
      ink.fillRect(0, 0, from, MAP);
      ink.fillRect(to, 0, this.width - to, MAP);
      ink.globalAlpha = 1;
      ink.strokeStyle = this.css["accent"]!;
      ink.strokeRect(from + 0.5, 0.5, Math.max(2, to - from - 1), MAP - 2);
    }
  }

  private drawBars(ink: CanvasRenderingContext2D): void {
    const { calls, lanes } = this.model, { view, width } = this, now = this.model.now;
    const scale = width / (view.to - view.from);
    const firstLane = Math.max(0, Math.floor(view.y / LANE));
    const lastLane = Math.min(lanes.count - 1, Math.ceil((view.y + this.height - TOP) / LANE));
    ink.font = "11px system-ui, sans-serif";
    ink.textBaseline = "middle";
    for (let lane = firstLane; lane <= lastLane; lane++) {
      const y = TOP + lane * LANE - view.y + 2, end = lanes.starts[lane + 1]!;
      let low = lanes.starts[lane]!, high = end;
      while (low < high) { // the first that ends in sight
        const middle = (low + high) >> 1;
        if (calls.endOf(lanes.order[middle]!, now) < view.from) low = middle + 1; else high = middle;
      }
      let drawn = -1; // the last pixel of this lane that has something
      for (let i = low; i < end; i++) {
        const p = lanes.order[i]!, from = calls.started[p]!;
        if (from > view.to) break;
        const x = (from - view.from) * scale, right = (calls.endOf(p, now) - view.from) * scale;
        if (right < drawn + 0.5 && right - x < 1) continue; // nobody would see it
        const left = Math.max(x, -2), wide = Math.max(Math.min(right, width + 2) - left, 1);
        this.drawQueue(ink, p, i > lanes.starts[lane]! ? lanes.order[i - 1]! : -1, x, y, scale);
        this.drawBar(ink, p, left, wide, y, scale, now);
        drawn = left + wide;
      }
    }
    for (const [p, line] of [[this.hover, 1], [this.selected, 2]] as const)
      if (p >= 0) this.outline(ink, p, line, scale);
  }

  private drawQueue(ink: CanvasRenderingContext2D, p: number, before: number, x: number, y: number,
    scale: number): void {
    const { calls } = this.model;
    let from = calls.spawned[p]!;
    if (before >= 0) from = Math.max(from, calls.endOf(before, this.model.now));
    const left = Math.max((from - this.view.from) * scale, -2);
    if (!(x - left > 2) || !this.hatch) return;
    ink.fillStyle = this.hatch;
    ink.fillRect(left, y + 5, x - left, BAR - 10);
  }

  private drawBar(ink: CanvasRenderingContext2D, p: number, x: number, wide: number, y: number,
    scale: number, now: number): void {
    const { calls } = this.model, paint = this.paint(calls.node[p]!), status = calls.status[p]!;
    ink.fillStyle = paint.solid;
    if (wide >= 6) { ink.beginPath(); ink.roundRect(x, y, wide, BAR, 3); ink.fill(); }
    else ink.fillRect(x, y, wide, BAR);
    if (wide >= 4 && calls.first[p]! >= 0) { // soft where it waits for its calls
      ink.fillStyle = paint.soft;
      let covered = x;
      for (let c = calls.first[p]!; c >= 0; c = calls.next[c]!) {
        const spawned = calls.spawned[c]!;
        const from = (Number.isNaN(spawned) ? calls.started[c]! : spawned) - this.view.from;
        if (Number.isNaN(from)) continue;
        const left = Math.max(from * scale, covered, x + 1);
        const right = Math.min((calls.endOf(c, now) - this.view.from) * scale, x + wide - 1);
        if (right - left < 0.4) continue;
        ink.fillRect(left, y + 1, right - left, BAR - 2);
        covered = right;
        if (covered >= x + wide - 1) break;
      }
    }
    if (status === FAILED || status === CANCELLED || status === INTERRUPTED) {
      ink.fillStyle = this.css[status === FAILED ? "failed" : "cancelled"]!;
      ink.fillRect(x, y + BAR - 3, wide, 3);
    }
    const segments = this.critical ? this.model.critical.segments.get(p) : undefined;
    if (segments) {
      ink.fillStyle = this.css["critical"]!;
      for (let i = 0; i < segments.length; i += 2) {
        const left = Math.max((segments[i]! - this.view.from) * scale, x);
        const right = Math.min((segments[i + 1]! - this.view.from) * scale, x + wide);
        if (right - left > 0.3) ink.fillRect(left, y - 2, right - left, 3);
      }
    }
    if (wide > 34) {
      const name = calls.name(p), start = Math.max(x, 0), letters = Math.floor(
        (x + wide - start - 10) / LETTER);
      if (letters < 2) return;
      ink.fillStyle = calls.first[p]! >= 0 ? this.css["text"]! : paint.text;
      ink.fillText(name.length > letters ? name.slice(0, letters - 1) + "…" : name, start + 5,
        y + BAR / 2 + 0.5);
    }
  }

  private outline(ink: CanvasRenderingContext2D, p: number, line: number, scale: number): void {
    const { calls, lanes } = this.model, lane = lanes.lane[p] ?? -1;
    if (lane < 0) return;
    const x = (calls.started[p]! - this.view.from) * scale;
    const wide = Math.max((calls.endOf(p, this.model.now) - this.view.from) * scale - x, 2);
    ink.strokeStyle = this.css["text"]!;
    ink.lineWidth = line;
    ink.strokeRect(x - 1, TOP + lane * LANE - this.view.y + 1, wide + 2, BAR + 2);
  }
}

export function Timeline({ model }: { model: Model }) {
  const canvas = useRef<HTMLCanvasElement>(null), drawing = useRef<Drawing | null>(null);
  const [tip, setTip] = useState<{ p: number; x: number; y: number } | null>(null);
  const version = model.version.value, seq = Number(field("call")) || 0;
  const critical = field("critical") !== "off";
  const { calls } = model;

  useEffect(() => {
    const element = canvas.current!, made = new Drawing(element, model);
    drawing.current = made;
    const observer = new ResizeObserver(() => {
      made.width = element.clientWidth;
      made.height = element.clientHeight;
      made.draw();
    });
    observer.observe(element);
    const wheel = (event: WheelEvent) => {
      event.preventDefault();
      const x = event.clientX - element.getBoundingClientRect().left;
      const lines = event.deltaMode === 1 ? 16 : 1;
      if (event.ctrlKey || event.metaKey) made.zoom(Math.exp(event.deltaY * lines * 0.003), x);
      else if (event.shiftKey) made.pan((event.deltaY + event.deltaX) * lines, 0);
      else made.pan(event.deltaX * lines, event.deltaY * lines);
    };
    element.addEventListener("wheel", wheel, { passive: false });
    return () => { observer.disconnect(); element.removeEventListener("wheel", wheel); };
  }, [model]);
  useEffect(() => { drawing.current!.lookUp(); }, [model, shade.value]);
  useEffect(() => {
    const made = drawing.current!;
    made.critical = critical;
    made.selected = calls.place(seq);
    made.later();
  }, [version, seq, critical]);
  useEffect(() => {
    const p = calls.place(seq);
    if (p >= 0) drawing.current!.show(p, false);
  }, [seq, calls.place(seq) >= 0]);
  useEffect(() => { // time goes on, even if nothing else does
    if (!model.live) return;
    const timer = setInterval(() => drawing.current?.later(), 100);
    return () => clearInterval(timer);
  }, [model.run.value?.status]);

  const drag = useRef<{ x: number; y: number; moved: boolean; map: boolean } | null>(null);
  const spot = (event: PointerEvent | MouseEvent) => {
    const box = canvas.current!.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  };
  const toMap = (x: number) => {
    const made = drawing.current!, span = made.view.to - made.view.from;
    const middle = (x / made.width) * made.whole;
    made.follows = false;
    made.view.from = middle - span / 2;
    made.view.to = middle + span / 2;
    made.clamp();
    made.later();
  };
  const down = (event: PointerEvent) => {
    const { x, y } = spot(event);
    drag.current = { x, y, moved: false, map: y < MAP };
    canvas.current!.setPointerCapture(event.pointerId);
    if (y < MAP) toMap(x);
  };
  const moved = (event: PointerEvent) => {
    const made = drawing.current!, { x, y } = spot(event), held = drag.current;
    if (held?.map) { toMap(x); return; }
    if (held) {
      if (held.moved || Math.abs(x - held.x) + Math.abs(y - held.y) > 4) {
        made.pan(held.x - x, held.y - y);
        drag.current = { ...held, x, y, moved: true };
        setTip(null);
      }
      return;
    }
    const p = made.at(x, y);
    if (p !== made.hover) { made.hover = p; made.later(); }
    setTip(p >= 0 ? { p, x, y } : null);
  };
  const up = (event: PointerEvent) => {
    const held = drag.current, { x, y } = spot(event);
    drag.current = null;
    if (!held || held.moved || held.map) return;
    const p = drawing.current!.at(x, y);
    if (p >= 0) change({ call: String(calls.seq[p]) });
  };
  const press = (event: KeyboardEvent) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const made = drawing.current!, middle = made.width / 2, step = made.width / 6;
    switch (event.key) {
      case "w": case "+": case "=": made.zoom(0.7, middle); break;
      case "s": case "-": made.zoom(1 / 0.7, middle); break;
      case "a": case "ArrowLeft": made.pan(-step, 0); break;
      case "d": case "ArrowRight": made.pan(step, 0); break;
      case "ArrowUp": made.pan(0, -3 * LANE); break;
      case "ArrowDown": made.pan(0, 3 * LANE); break;
      case "PageUp": made.pan(0, -made.height + TOP); break;
      case "PageDown": made.pan(0, made.height - TOP); break;
      case "0": made.fit(); break;
      case "f": if (made.selected >= 0) made.show(made.selected, true); break;
      default: return;
    }
    event.preventDefault();
  };
  const made = drawing.current, tipCall = tip && tip.p < calls.count ? tip.p : -1;
  return <section class="timeline" aria-label="Timeline">
    <div class="bar">
      <span class="title">Timeline</span>
      <span class="legend"><i class="l-work" />works <i class="l-wait" />waits for calls{" "}
        <i class="l-queue" />queued</span>
      <span class="space" />
      <button class={`chip ${critical ? "on" : ""}`} aria-pressed={critical}
        title="What the end of the run has waited for"
        onClick={() => change({ critical: critical ? "off" : "" })}><i class="l-critical" />critical path</button>
      <button class="icon" title="Zoom in (w)" aria-label="Zoom in"
        onClick={() => made!.zoom(0.6, made!.width / 2)}>+</button>
      <button class="icon" title="Zoom out (s)" aria-label="Zoom out"
        onClick={() => made!.zoom(1 / 0.6, made!.width / 2)}>−</button>
      <button class="icon" title="Show all (0)" aria-label="Show all"
        onClick={() => made!.fit()}>⤢</button>
    </div>
    <div class="canvas">
      <canvas ref={canvas} id="timeline" tabIndex={0} role="img"
        aria-label={`Timeline of ${counted(calls.count, "call")}; the tree tells the same in words`}
        onPointerDown={down} onPointerMove={moved} onPointerUp={up} onKeyDown={press}
        onPointerLeave={() => { setTip(null); if (made) { made.hover = -1; made.later(); } }}
        onDblClick={(event) => {
          const { x, y } = spot(event), p = made!.at(x, y);
          if (p >= 0) made!.show(p, true); else made!.fit();
        }} />
      {tipCall >= 0 && tip && <div class="tip" style={{
        left: `${Math.min(tip.x + 12, (made?.width ?? 400) - 240)}px`,
        top: `${tip.y > (made?.height ?? 0) - 90 ? tip.y - 76 : tip.y + 16}px` }}>
        <b>{calls.name(tipCall)}</b>
        <span>{STATUSES[calls.status[tipCall]!]} · {duration(
          calls.endOf(tipCall, model.now) - calls.started[tipCall]!)}</span>
        <span class="dim">from {duration(calls.started[tipCall]!)}{calls.started[tipCall]!
          - calls.spawned[tipCall]! > 1e-5 ? `, queued ${duration(calls.started[tipCall]!
          - calls.spawned[tipCall]!)}` : ""}</span>
      </div>}
    </div>
  </section>;
}
