import type { Work } from '../work.js';

/** A command has ended because it was asked to. */
export class Interrupted extends Error {
  override name = 'Interrupted';
}

/** Ctrl-C; kill, Slurm and docker; a terminal that closes. */
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

const TICK_MS = 100;
const PATIENCE_TICKS = 10;

/**
 * Notes, until it is closed, that a signal asks the process to stop, so that a command can do so in good order. A second
 * signal ends the process at once. It counts only when the process had a second to act on the first: npm and others
 * repeat a signal, and those that come while the event loop is busy arrive together.
 */
export class StopSignals {
  /** Not 0 once a stop has been asked for. Other threads can look at it. */
  readonly flag = new Int32Array(new SharedArrayBuffer(4));
  private ticks = 0;
  private timer: NodeJS.Timeout | undefined;

  constructor() {
    for (const signal of SIGNALS) process.on(signal, this.take);
  }

  /** Whether a stop has been asked for. */
  readonly interrupted = () => isSet(this.flag);

  /** Asks for a stop without a signal. */
  request(): void {
    Atomics.store(this.flag, 0, 1);
  }

  private readonly take = () => {
    this.request();
    // Time in which the event loop is busy is one tick.
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

/** Lets signals through. Throws Interrupted, with the message, when one has asked for a stop. */
export async function pause(interrupted: () => boolean, message = 'stopped'): Promise<void> {
  await new Promise(setImmediate);
  if (interrupted()) throw new Interrupted(message);
}

const PAUSE_EVERY_MS = 50;

/**
 * Does work in parts, and lets signals through before it and now and then. Throws Interrupted when it gives the work up
 * for a stop.
 */
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
