// Which node calls which, and how often.
import { Graph as Layout, layout } from "@dagrejs/dagre";
import { useMemo, useState } from "preact/hooks";
import { Calls, FAILED, RUNNING } from "./calls";
import { isDark, paintsOf } from "./colours";
import { duration, grouped } from "./format";
import type { Model } from "./model";
import { Empty, shade } from "./parts";
import { address, place } from "./place";

const MOST = 150, WIDTH = 190, HEIGHT = 58;

interface NodeSum { node: number; calls: number; failed: number; running: number; total: number }
interface Edge { from: number; to: number; calls: number; failed: number }

function sums(calls: Calls, now: number) {
  const nodes = new Map<number, NodeSum>(), edges = new Map<number, Edge>();
  const names = calls.names.length;
  for (let p = 0; p < calls.count; p++) {
    const node = calls.node[p]!, failed = calls.status[p] === FAILED ? 1 : 0;
    let sum = nodes.get(node);
    if (!sum) nodes.set(node, sum = { node, calls: 0, failed: 0, running: 0, total: 0 });
    sum.calls++;
    sum.failed += failed;
    if (calls.status[p] === RUNNING) sum.running++;
    const took = calls.endOf(p, now) - calls.started[p]!;
    if (took > 0) sum.total += took;
    const up = calls.above[p]!;
    if (up < 0) continue;
    const from = calls.node[up]!, key = from * names + node;
    const edge = edges.get(key);
    if (edge) { edge.calls++; edge.failed += failed; }
    else edges.set(key, { from, to: node, calls: 1, failed });
  }
  const list = [...nodes.values()].sort((a, b) => b.total - a.total);
  const shown = new Set(list.slice(0, MOST).map((sum) => sum.node));
  return { nodes: list.slice(0, MOST), left: Math.max(0, list.length - MOST),
    edges: [...edges.values()].filter((e) => shown.has(e.from) && shown.has(e.to)) };
}

interface Point { x: number; y: number }

/** A smooth line: from the middle of one piece to that of the next, bent at the points. */
function curve(points: Point[]): string {
  const last = points[points.length - 1]!;
  let text = `M${points[0]!.x},${points[0]!.y}`;
  for (let i = 1; i < points.length - 1; i++) {
    const at = points[i]!, next = points[i + 1]!;
    text += `Q${at.x},${at.y} ${(at.x + next.x) / 2},${(at.y + next.y) / 2}`;
  }
  return `${text}L${last.x},${last.y}`;
}

/** Out at the right side of a node and in again, for a node that calls itself. */
function loop({ x, y }: Point): Point[] {
  const side = x + WIDTH / 2;
  return [{ x: side, y: y - 12 }, { x: side + 26, y: y - 16 }, { x: side + 26, y: y + 16 },
    { x: side + 1, y: y + 12 }];
}

const cut = (text: string, most: number) =>
  text.length > most ? text.slice(0, most - 1) + "…" : text;

export function Graph({ model }: { model: Model }) {
  const { calls } = model, version = model.version.value, [zoom, setZoom] = useState(1);
  shade.value; // drawn anew when it turns dark
  const sum = useMemo(() => sums(calls, model.now), [version]);
  const shape = sum.nodes.map((n) => n.node).sort().join() + sum.edges.length;
  const laid = useMemo(() => {
    const graph = new Layout({ multigraph: false });
    graph.setGraph({ rankdir: "TB", nodesep: 28, ranksep: 54, marginx: 24, marginy: 24 });
    graph.setDefaultEdgeLabel(() => ({}));
    for (const { node } of sum.nodes)
      graph.setNode(String(node), { width: WIDTH, height: HEIGHT });
    for (const { from, to } of sum.edges) graph.setEdge(String(from), String(to), {});
    layout(graph);
    return graph;
  }, [shape]);
  if (!sum.nodes.length) return <Empty>No call is recorded yet.</Empty>;
  const { width = 100, height = 100 } = laid.graph() as { width?: number; height?: number };
  const paints = paintsOf(calls.names, isDark()), most = Math.max(...sum.edges.map((edge) => edge.calls), 1);
  return <section class="graph" aria-label="Graph of nodes">
    <div class="bar"><span class="title">Nodes</span>
      <span class="dim">{sum.left ? `${grouped(sum.left)} more took less time` : ""}</span>
      <span class="space" />
      <button class="icon" aria-label="Zoom in" onClick={() => setZoom(zoom * 1.25)}>+</button>
      <button class="icon" aria-label="Zoom out" onClick={() => setZoom(zoom / 1.25)}>−</button>
      <button class="icon" aria-label="Natural size" onClick={() => setZoom(1)}>⤢</button></div>
    <div class="scroll" tabIndex={0}>
      <svg class={zoom === 1 ? "fit" : ""} width={width * zoom} height={height * zoom} viewBox={`0 0 ${width} ${height}`}
        role="group" aria-label="Nodes and who calls them">
        <defs>{["", "failed"].map((kind) => <marker key={kind} viewBox="0 0 8 8" refX="7" refY="4"
          id={kind ? "arrow-failed" : "arrow"} markerWidth="9" markerHeight="9" orient="auto"
          markerUnits="userSpaceOnUse"><path d="M0 0 8 4 0 8z" class={`tip-of ${kind}`} />
        </marker>)}</defs>
        {sum.edges.map((edge) => {
          const points = edge.from === edge.to ? loop(laid.node(String(edge.from)) as Point)
            : (laid.edge(String(edge.from), String(edge.to)) as { points: Point[] }).points;
          const middle = points[Math.floor(points.length / 2)]!;
          return <g key={`${edge.from}-${edge.to}`} class={edge.failed ? "edge failed" : "edge"}>
            <path d={curve(points)} marker-end={`url(#arrow${edge.failed ? "-failed" : ""})`}
              stroke-width={1 + 2.5 * (Math.log1p(edge.calls) / Math.log1p(most))} />
            <text x={middle.x + 6} y={middle.y}>{grouped(edge.calls)}</text>
          </g>;
        })}
        {sum.nodes.map((one) => {
          const at = laid.node(String(one.node)) as { x: number; y: number };
          const name = calls.names[one.node] ?? "?", paint = paints[one.node]!;
          return <a key={one.node} class="node"
            href={address(place.value.run, { q: name })}>
            <g transform={`translate(${at.x - WIDTH / 2},${at.y - HEIGHT / 2})`}>
              <title>{name}</title>
              <rect width={WIDTH} height={HEIGHT} rx="9" />
              <rect width="5" height={HEIGHT - 20} x="8" y="10" rx="2.5"
                style={{ fill: paint.solid }} class="mark" />
              <text x="22" y="24" class="name">{cut(name, 20)}</text>
              <text x="22" y="43" class="sum">{grouped(one.calls)}× · {duration(one.total)}</text>
              {one.failed > 0 && <text x={WIDTH - 10} y="43" class="bad" text-anchor="end">
                {grouped(one.failed)} ✕</text>}
              {one.failed === 0 && one.running > 0 && <text x={WIDTH - 10} y="43" class="now"
                text-anchor="end">{grouped(one.running)} ▸</text>}
            </g></a>;
        })}
      </svg>
    </div>
  </section>;
}
