import type { WasmMemory, WasmModule } from './host-types.js';
import type { Kernels, Pointer } from './kernels.js';

// Workers that share the runtime's memory and run kernels in it. A call is posted in a mailbox of that memory, one for
// each worker: i32 state, i32 kernel, i32 number of arguments, then the arguments as f64 from byte 16 on.

const MAILBOX = 256; // bytes: up to 30 arguments
const STARTING = 0;
const IDLE = 1;
const POSTED = 2;
const FAILED = 3;

/** Names of kernels a mailbox can hold, by number. */
const KERNELS = [
  'run_program',
  'f32_lstm_forward',
  'f32_lstm_backward',
  'f32_softmax_head',
  'f32_adam',
  'f32_sgd',
] as const satisfies readonly (keyof Kernels)[];

export type ThreadedKernel = (typeof KERNELS)[number];

// The worker as text: no bundler has to find a second file, no page to serve one. It sleeps until its mailbox is posted.
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
else onmessage = ({ data }) => work(data);
`;

interface Host {
  process?: { getBuiltinModule?(name: string): { Worker: new (code: string, options: object) => NodeWorker } };
}

interface NodeWorker {
  unref(): void;
  terminate(): void;
}

/** What keeps several threads from sharing memory here, or undefined where nothing does. */
export function whyNoThreads(): string | undefined {
  if (typeof SharedArrayBuffer === 'undefined') {
    return 'there is no shared memory here; a page needs to be cross-origin isolated for it';
  }
  const { process } = globalThis as Host;
  if (!process?.getBuiltinModule && typeof Worker === 'undefined') return 'there are no workers here';
  return undefined;
}

/** Workers beside the thread that makes them. */
export class Threads {
  private readonly boxes: Int32Array[];
  private readonly args: Float64Array[];
  private readonly workers: { terminate(): void }[];

  /** `mailboxes`: MAILBOX bytes of zeros for each. */
  constructor(module: WasmModule, memory: WasmMemory, mailboxes: readonly Pointer[]) {
    this.boxes = mailboxes.map((at) => new Int32Array(memory.buffer, at, 4));
    this.args = mailboxes.map((at) => new Float64Array(memory.buffer, at + 16, (MAILBOX - 16) / 8));
    this.workers = mailboxes.map((mailbox) => startWorker({ module, memory, mailbox, kernels: KERNELS }));
  }

  static readonly mailboxBytes = MAILBOX;

  /** Whether every worker is up; until then calls are better made by the caller. */
  get ready(): boolean {
    return this.boxes.every((box) => Atomics.load(box, 0) !== STARTING);
  }

  /** Posts a call to worker i, which must be idle. */
  post(i: number, kernel: ThreadedKernel, args: readonly number[]): void {
    const box = this.boxes[i];
    box[1] = KERNELS.indexOf(kernel);
    box[2] = args.length;
    this.args[i].set(args);
    Atomics.store(box, 0, POSTED);
    Atomics.notify(box, 0);
  }

  /** Returns when worker i has done what was posted: whether it did. */
  join(i: number): boolean {
    const box = this.boxes[i];
    // The main thread of a page may not sleep, and a short wait is not worth it.
    for (let turns = 0; Atomics.load(box, 0) === POSTED; turns++) {
      if (turns > SPINS && maySleep) Atomics.wait(box, 0, POSTED, 1000);
    }
    return Atomics.load(box, 0) !== FAILED;
  }

  close(): void {
    for (const worker of this.workers) worker.terminate();
  }
}

const SPINS = 2000;
const maySleep = typeof window === 'undefined';

function startWorker(data: object): { terminate(): void } {
  const { process } = globalThis as Host;
  if (process?.getBuiltinModule) {
    const { Worker } = process.getBuiltinModule('node:worker_threads');
    const worker = new Worker(WORKER, { eval: true, workerData: data });
    worker.unref();
    return worker;
  }
  const url = URL.createObjectURL(new Blob([WORKER], { type: 'text/javascript' }));
  const worker = new Worker(url);
  URL.revokeObjectURL(url);
  worker.postMessage(data);
  return worker;
}
