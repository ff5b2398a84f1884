// A colour for each node of a run, the same in all its views.

const HUES = [225, 160, 45, 280, 195, 95, 255, 130, 312, 60, 178, 28]; // red tells of failures

function hash(text: string): number {
  let h = 2166136261;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 16777619);
  return h >>> 0;
}

export interface Paint { solid: string; soft: string; text: string }

function paint(hue: number, turn: number, dark: boolean): Paint {
  return dark
    ? { solid: `hsl(${hue} 52% ${52 - turn}%)`, soft: `hsl(${hue} 30% 27%)`, text: "#fff" }
    : { solid: `hsl(${hue} 62% ${60 + turn}%)`, soft: `hsl(${hue} 65% 88%)`,
      text: `hsl(${hue} 60% 18%)` };
}

/** Of each name in turn: what its text says, or the next that no name before it has. */
export function paintsOf(names: string[], dark: boolean): Paint[] {
  const used = new Uint16Array(HUES.length);
  return names.map((name, i) => {
    const round = Math.floor(i / HUES.length);
    let at = hash(name) % HUES.length;
    while (used[at]! > round) at = (at + 1) % HUES.length;
    return paint(HUES[at]!, 6 * Math.min(used[at]!++, 2), dark);
  });
}

export function isDark(): boolean {
  return getComputedStyle(document.documentElement).colorScheme.trim() === "dark";
}
