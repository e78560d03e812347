import type { Work } from '../work.js';

/** A command stopped because a signal asked for it. */
export class Interrupted extends Error {
  override name = 'Interrupted';
}

/** The message of commands that take up their work when they are run again. */
export const STOPPED = 'stopped; the same command goes on where it stopped';

/** Sent by Ctrl-C; by kill, Slurm and docker; by a terminal that closes. */
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

const TICK_MS = 100;
const PATIENCE_TICKS = 10;

/**
 * Listens for signals that ask the process to stop, until it is closed. The first one sets a flag, so that a command can
 * save its work. A later one ends the process at once, but only if the event loop was free for a second in between: npm
 * and others repeat a signal, and signals that are sent while the event loop is busy arrive together.
 */
export class StopSignals {
  /** Not 0 after a stop was requested. Other threads can read it. */
  readonly flag = new Int32Array(new SharedArrayBuffer(4));
  private ticks = 0;
  private timer: NodeJS.Timeout | undefined;

  constructor() {
    for (const signal of SIGNALS) process.on(signal, this.take);
  }

  /** Whether a stop was requested. */
  readonly interrupted = () => isSet(this.flag);

  /** Requests a stop without a signal. */
  request(): void {
    Atomics.store(this.flag, 0, 1);
  }

  private readonly take = () => {
    this.request();
    // However long the event loop is busy, that is one tick.
    this.timer ??= setInterval(() => this.ticks++, TICK_MS).unref();
    if (this.ticks >= PATIENCE_TICKS) process.exit(1);
  };

  close(): void {
    clearInterval(this.timer);
    for (const signal of SIGNALS) process.off(signal, this.take);
  }
}

export function isSet(flag: Int32Array): boolean {
  return Atomics.load(flag, 0) !== 0;
}

/** Lets signals through. Throws Interrupted with the message if a stop was requested. */
export async function pause(interrupted: () => boolean, message = 'stopped'): Promise<void> {
  await new Promise(setImmediate);
  if (interrupted()) throw new Interrupted(message);
}

const PAUSE_EVERY_MS = 50;

/** Does work in parts and lets signals through. Abandons the work and throws Interrupted if a stop was requested. */
export async function stoppable<T>(
  work: Work<T>,
  interrupted: () => boolean,
  onProgress: (share: number) => void = () => {},
): Promise<T> {
  let paused = Number.NEGATIVE_INFINITY;
  try {
    for (;;) {
      if (Date.now() - paused >= PAUSE_EVERY_MS) {
        await new Promise(setImmediate);
        paused = Date.now();
      }
      if (interrupted()) throw new Interrupted('stopped');
      const { done, value } = work.next();
      if (done) return value;
      onProgress(value);
    }
  } finally {
    work.return(undefined as T);
  }
}
