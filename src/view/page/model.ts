// One run while it is looked at: what is known of it, and what is worked out of that.
import { effect, signal } from "@preact/signals";
import { json, Refused, Run, runPath } from "./api";
import { Calls } from "./calls";
import { Critical, criticalPath, Lanes, layOut } from "./lanes";
import { changes, wanted } from "./live";

export class Model {
  readonly run = signal<Run | null>(null);
  readonly problem = signal("");
  /** Changes when the calls have. */
  readonly version = signal(0);
  readonly calls: Calls;
  private end: () => void = () => {};
  private stop = new AbortController();
  private busy = false;
  private again = false;
  private lanesAt = -1;
  private laneData: Lanes | null = null;
  private criticalAt = -1;
  private criticalData: Critical | null = null;

  constructor(readonly name: string) {
    this.calls = new Calls(name);
    let first = true;
    this.end = effect(() => {
      changes.value; // refresh at each of them
      if (first || this.live) void this.refresh();
      first = false;
    });
  }

  get live(): boolean { return this.run.peek()?.status === "running" || !this.run.peek(); }

  /** Seconds since the run began. */
  get now(): number {
    return this.live ? Math.max(this.calls.end, Date.now() / 1000 - this.calls.origin)
      : this.calls.end;
  }

  close(): void {
    this.end();
    this.stop.abort();
  }

  private async refresh(): Promise<void> {
    if (this.busy) { this.again = true; return; }
    this.busy = true;
    const from = performance.now();
    try {
      // The run first: what it says to be over has all its calls.
      const run = await json<Run>(runPath(this.name), this.stop.signal);
      const news = await this.calls.update(this.stop.signal);
      const over = run.status !== "running", was = this.run.peek();
      if (news || !was || was.status !== run.status) {
        this.calls.derive(over);
        this.run.value = run;
        this.version.value++;
      } else if (was.calls !== run.calls) {
        this.run.value = run;
      }
      this.problem.value = "";
      wanted.value = !over;
    } catch (error) {
      if (this.stop.signal.aborted) return;
      this.problem.value = (error as Error).message;
      if (error instanceof Refused && error.status === 404) wanted.value = false;
    }
    // What takes long is asked for less often: the run itself wants the processor, too.
    const spent = performance.now() - from;
    setTimeout(() => {
      this.busy = false;
      if (!this.again || this.stop.signal.aborted) return;
      this.again = false;
      void this.refresh();
    }, Math.min(3000, Math.max(80, 6 * spent)));
  }

  get lanes(): Lanes {
    if (!this.laneData || this.lanesAt !== this.version.peek()) {
      this.laneData = layOut(this.calls);
      this.lanesAt = this.version.peek();
    }
    return this.laneData;
  }

  get critical(): Critical {
    if (!this.criticalData || this.criticalAt !== this.version.peek()) {
      this.criticalData = criticalPath(this.calls, this.now);
      this.criticalAt = this.version.peek();
    }
    return this.criticalData;
  }
}
