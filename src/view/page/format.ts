// Numbers and times as text.

export function duration(seconds: number): string {
  if (!(seconds >= 0)) return "–";
  if (seconds < 0.0009995) return `${Math.round(seconds * 1e6)} µs`;
  if (seconds < 0.99995) return `${(seconds * 1e3).toFixed(1)} ms`;
  if (seconds < 59.995) return `${seconds.toFixed(2)} s`;
  const whole = Math.round(seconds);
  const two = (n: number) => String(n).padStart(2, "0");
  if (whole < 3600) return `${Math.floor(whole / 60)}m ${two(whole % 60)}s`;
  return `${Math.floor(whole / 3600)}h ${two(Math.floor((whole % 3600) / 60))}m`;
}

export function grouped(n: number): string {
  return n.toLocaleString("en-US");
}

export function counted(n: number, one: string, many = one + "s"): string {
  return `${grouped(n)} ${n === 1 ? one : many}`;
}

export function bytes(n: number): string {
  if (n < 1024) return `${n} bytes`;
  if (n < 1024 * 1024) return `${(n / 1024).toFixed(1)} KB`;
  return `${(n / 1024 / 1024).toFixed(1)} MB`;
}

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit",
  second: "2-digit", hour12: false });
const day = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const year = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short",
  year: "numeric" });

/** The time of day; with the date, unless that is today. */
export function moment(seconds: number): string {
  const date = new Date(seconds * 1000), now = new Date();
  if (date.toDateString() === now.toDateString()) return clock.format(date);
  const same = date.getFullYear() === now.getFullYear();
  return `${(same ? day : year).format(date)}, ${clock.format(date)}`;
}

export function exact(seconds: number): string {
  const iso = new Date(seconds * 1000).toISOString();
  return iso.replace("T", " ").replace("Z", " UTC");
}

/** A tick of the time axis, whose step is `step` seconds. */
export function tick(seconds: number, step: number): string {
  if (Math.abs(seconds) < step / 1e6) return "0";
  const [unit, name] = step < 1e-3 ? [1e-6, "µs"] : step < 1 ? [1e-3, "ms"] : [1, "s"];
  const digits = Math.max(0, Math.ceil(-Math.log10(step / unit) - 1e-9));
  return `${(seconds / unit).toLocaleString("en-US", { maximumFractionDigits: digits })} ${name}`;
}
