import { MultiBar, SingleBar } from 'cli-progress';
import { exp } from '../math.js';
import type { Work } from '../work.js';
import { StopSignals, stoppable } from './stopping.js';
import type { StepReport } from './training.js';

export interface Progress {
  update(done: number, text: string): void;
  stop(): void;
}

/** Returns a function that stops bars. They hide the cursor, so they also stop when the process ends in any other way. */
function stopper(bars: { stop(): void }): () => void {
  const stop = () => {
    process.off('exit', stop);
    bars.stop();
  };
  process.on('exit', stop);
  return stop;
}

/** A bar with the time left on a terminal; elsewhere, a line every ten seconds. Both go to stderr: stdout is for results. */
export function startProgress(label: string, total: number): Progress {
  return process.stderr.isTTY ? startBar(label, total) : startLines(label, total);
}

function startBar(label: string, total: number): Progress {
  const bar = new SingleBar({
    format: `${label} {bar} {percentage}% | {text} | {left} left`,
    stream: process.stderr,
    hideCursor: true,
    fps: 5,
    barsize: 20,
    clearOnComplete: true,
  });
  const left = timeLeft(total);
  let drawn = 0;
  const stop = stopper(bar);
  bar.start(total, 0, { text: '', left: '?' });
  return {
    update(done, text) {
      bar.update(done, { text, left: left(done) });
      // The bar's own timer does not fire during a long computation.
      if (Date.now() - drawn < 200) return;
      drawn = Date.now();
      bar.render();
    },
    stop,
  };
}

const QUIET_MS = 10_000;

function startLines(label: string, total: number): Progress {
  let said = Date.now();
  const left = timeLeft(total);
  return {
    update(done, text) {
      const remaining = left(done);
      if (Date.now() - said < QUIET_MS) return;
      said = Date.now();
      process.stderr.write(`${label} ${Math.floor((100 * done) / total)}% | ${text} | ${remaining} left\n`);
    },
    stop: () => {},
  };
}

/** Does work and shows its progress. Throws Interrupted if a signal asks for a stop. */
export async function showing<T>(label: string, text: string, work: Work<T>): Promise<T> {
  const signals = new StopSignals();
  const progress = startProgress(label, 100);
  try {
    return await stoppable(work, signals.interrupted, (share) => progress.update(Math.floor(100 * share), text));
  } finally {
    progress.stop();
    signals.close();
  }
}

export interface JobsProgress {
  /** Work done so far by all jobs. */
  all(done: number): void;
  /** What one job does, and its progress from 0 to 1. */
  job(slot: number, name: string, share: number, text: string): void;
  stop(): void;
}

const JOBS_QUIET_MS = 60_000;

/** A bar for the total with the time left, and one for each job; elsewhere, one line every minute. */
export function startJobs(jobs: number, total: number): JobsProgress {
  const left = timeLeft(total);
  const latest: string[] = [];
  const percent = (share: number) => `${Math.floor(100 * share)}%`;
  if (!process.stderr.isTTY) {
    let all = 0;
    let remaining = '?';
    const timer = setInterval(() => {
      process.stderr.write(
        `${percent(total ? all / total : 1)}, ${remaining} left | ${latest.filter(Boolean).join('; ')}\n`,
      );
    }, JOBS_QUIET_MS);
    return {
      all(done) {
        all = done;
        remaining = left(done);
      },
      job(slot, name, share, text) {
        latest[slot] = `${name} ${percent(share)} | ${text}`;
      },
      stop: () => clearInterval(timer),
    };
  }
  const { bars, stop } = startBars('{name} {bar} {percentage}% | {text}');
  const whole = bars.create(total, 0, { name: 'all runs', text: '' });
  const lines = Array.from({ length: jobs }, () => bars.create(1, 0, { name: 'waiting', text: '' }));
  return {
    all: (done) => whole.update(done, { text: `${left(done)} left` }),
    job: (slot, name, share, text) => lines[slot].update(share, { name, text }),
    stop,
  };
}

/** Several bars on the terminal, one below the other. */
export function startBars(format: string): { bars: MultiBar; stop(): void } {
  const bars = new MultiBar({ format, stream: process.stderr, hideCursor: true, barsize: 20 });
  return { bars, stop: stopper(bars) };
}

/** The time left, estimated from the speed since the first call: what a resumed run did before does not count. */
export function timeLeft(total: number): (done: number) => string {
  let first: { done: number; at: number } | undefined;
  return (done) => {
    first ??= { done, at: Date.now() };
    if (done <= first.done) return '?';
    const seconds = Math.round((((Date.now() - first.at) / 1000) * (total - done)) / (done - first.done));
    return formatDuration(seconds);
  };
}

export function describeStep({ tokensPerSecond, loss, lossInNats, sparsity }: StepReport): string {
  const parts = [`${Math.round(tokensPerSecond)} tokens/s`, `loss ${loss.toFixed(3)}`];
  if (lossInNats) parts.push(`perplexity ${exp(loss).toFixed(1)}`);
  return [...parts, `sparsity ${(100 * sparsity).toFixed(1)}%`].join(' | ');
}

export function formatDuration(seconds: number): string {
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  return minutes < 60 ? `${minutes} min ${seconds % 60} s` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
