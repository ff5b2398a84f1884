// A colour for each node, the same wherever it is shown and whenever.

const HUES = [225, 160, 32, 280, 195, 340, 95, 255, 15, 130, 305, 50];

function hash(text: string): number {
  let h = 2166136261;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 16777619);
  return h >>> 0;
}

export interface Paint { solid: string; soft: string; text: string }

export function paintOf(name: string, dark: boolean): Paint {
  const h = hash(name), hue = HUES[h % HUES.length]!, turn = ((h >>> 8) % 3) * 6;
  return dark
    ? { solid: `hsl(${hue} 52% ${52 - turn / 2}%)`, soft: `hsl(${hue} 30% 27%)`, text: "#fff" }
    : { solid: `hsl(${hue} 62% ${60 + turn / 2}%)`, soft: `hsl(${hue} 65% 88%)`,
      text: `hsl(${hue} 60% 18%)` };
}

export function isDark(): boolean {
  return getComputedStyle(document.documentElement).colorScheme.trim() === "dark";
}
