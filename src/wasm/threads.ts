import type { WasmMemory, WasmModule } from './host-types.js';
import type { Kernels, Pointer } from './kernels.js';

// Workers that share the runtime's memory and run kernels in it. Calls are posted in a mailbox in that memory, one per
// worker: i32 state, i32 kernel, i32 number of arguments, then the arguments as f64 from byte 16 on.

const MAILBOX = 256; // bytes: up to 30 arguments
const STARTING = 0;
const IDLE = 1;
const POSTED = 2;
const FAILED = 3;

/** The kernels that a mailbox can name, by number. */
const KERNELS = [
  'run_program',
  'f32_lstm_forward',
  'f32_lstm_backward',
  'f32_gru_forward',
  'f32_gru_backward',
  'f32_softmax_head',
  'f32_adam',
  'f32_sgd',
] as const satisfies readonly (keyof Kernels)[];

export type ThreadedKernel = (typeof KERNELS)[number];

/** The arguments of one call of a kernel. */
export type Call<K extends ThreadedKernel> = Parameters<Kernels[K]>;

// The worker's code as text: no bundler has to find a second file, no page to serve one. It sleeps until a call is posted.
const WORKER = `
const work = ({ module, memory, mailbox, kernels }) => {
  const { exports } = new WebAssembly.Instance(module, { env: { memory, abort() {} } });
  const state = new Int32Array(memory.buffer, mailbox, 4);
  const args = new Float64Array(memory.buffer, mailbox + 16, ${(MAILBOX - 16) / 8});
  for (let next = ${IDLE}; ; ) {
    Atomics.store(state, 0, next);
    Atomics.notify(state, 0);
    while (Atomics.load(state, 0) !== ${POSTED}) Atomics.wait(state, 0, next);
    try {
      exports[kernels[state[1]]](...args.subarray(0, state[2]));
      next = ${IDLE};
    } catch {
      next = ${FAILED};
    }
  }
};
if (typeof require === 'function') work(require('node:worker_threads').workerData);
else {
  onmessage = ({ data }) => work(data);
  onmessageerror = () => { throw new Error('the module and the memory cannot be sent to a worker'); };
}
`;

interface Host {
  process?: { getBuiltinModule?(name: string): { Worker: new (code: string, options: object) => NodeWorker } };
}

interface NodeWorker {
  on(event: 'error', listener: (error: Error) => void): void;
  on(event: 'exit', listener: (code: number) => void): void;
  unref(): void;
  terminate(): void;
}

/** Why the last runtime that asked for threads has none. */
let failure: string | undefined;

/**
 * Why several threads cannot share the work here, or undefined if nothing is known to prevent it. That a worker cannot
 * start, for instance because of a page's Content Security Policy, is known once a Runtime has tried and is `ready`.
 */
export function whyNoThreads(): string | undefined {
  return whatIsMissing() ?? failure;
}

function whatIsMissing(): string | undefined {
  if (typeof SharedArrayBuffer === 'undefined') {
    return 'there is no shared memory here; a page has it if it is cross-origin isolated';
  }
  const { process } = globalThis as Host;
  if (!process?.getBuiltinModule && typeof Worker === 'undefined') return 'there are no workers here';
  return undefined;
}

/** A page of memory that threads can share, or undefined if there can be none; whyNoThreads() then says why. */
export function sharedMemory(maximum: number): WasmMemory | undefined {
  failure = undefined;
  if (whatIsMissing()) return undefined;
  try {
    return new WebAssembly.Memory({ initial: 1, maximum, shared: true });
  } catch (error) {
    failure = `there is no shared memory here: ${(error as Error).message}`;
    return undefined;
  }
}

/** Workers beside the thread that makes them. If one fails, all end. */
export class Threads {
  private readonly boxes: Int32Array[];
  private readonly args: Float64Array[];
  private readonly workers: { terminate(): void }[] = [];
  private ended = false;

  /** `mailboxes`: MAILBOX bytes of zeros for each. */
  constructor(module: WasmModule, memory: WasmMemory, mailboxes: readonly Pointer[]) {
    this.boxes = mailboxes.map((at) => new Int32Array(memory.buffer, at, 4));
    this.args = mailboxes.map((at) => new Float64Array(memory.buffer, at + 16, (MAILBOX - 16) / 8));
    try {
      for (const mailbox of mailboxes) {
        this.workers.push(startWorker({ module, memory, mailbox, kernels: KERNELS }, (why) => this.fail(why)));
      }
    } catch (error) {
      this.fail((error as Error).message);
    }
  }

  static readonly mailboxBytes = MAILBOX;

  /** The workers and the thread that made them; once they have ended, that thread alone. */
  get threads(): number {
    return this.ended ? 1 : this.boxes.length + 1;
  }

  /** Whether there is nothing to wait for: every worker has started, or all have ended. */
  get ready(): boolean {
    return this.ended || this.boxes.every((box) => Atomics.load(box, 0) !== STARTING);
  }

  private fail(why: string): void {
    if (this.ended) return;
    failure = `a worker failed: ${why}`;
    this.close();
  }

  /** Posts a call to worker i, which must have started and be idle. */
  post<K extends ThreadedKernel>(i: number, kernel: K, args: Call<K>): void {
    const box = this.boxes[i];
    box[1] = KERNELS.indexOf(kernel);
    box[2] = args.length;
    this.args[i].set(args);
    Atomics.store(box, 0, POSTED);
    Atomics.notify(box, 0);
  }

  /** Waits until worker i has made the call that was posted; returns whether it succeeded. */
  join(i: number): boolean {
    const box = this.boxes[i];
    // The main thread of a page must not sleep, and for a short wait it is not worth it.
    for (let turns = 0; Atomics.load(box, 0) === POSTED; turns++) {
      if (turns > SPINS && maySleep) Atomics.wait(box, 0, POSTED, 1000);
    }
    return Atomics.load(box, 0) !== FAILED;
  }

  close(): void {
    this.ended = true;
    for (const worker of this.workers) worker.terminate();
  }
}

const SPINS = 2000;
const maySleep = typeof window === 'undefined';

/** `onFailure` is told why the worker could not start, or ended. */
function startWorker(data: object, onFailure: (why: string) => void): { terminate(): void } {
  const { process } = globalThis as Host;
  if (process?.getBuiltinModule) {
    const { Worker } = process.getBuiltinModule('node:worker_threads');
    const worker = new Worker(WORKER, { eval: true, workerData: data });
    worker.on('error', ({ message }) => onFailure(message));
    worker.on('exit', (code) => onFailure(`it exited with code ${code}`));
    worker.unref();
    return worker;
  }
  const url = URL.createObjectURL(new Blob([WORKER], { type: 'text/javascript' }));
  const worker = new Worker(url);
  URL.revokeObjectURL(url);
  worker.addEventListener('error', ({ message }) => {
    onFailure(message || "it did not start; a page's Content Security Policy must allow worker-src blob:");
  });
  worker.postMessage(data);
  return worker;
}
