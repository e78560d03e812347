// Runs a kernel and its twin of src/reference.ts on the same arguments, and compares what they leave behind.

import * as assert from 'uvu/assert';
import type { Sparse } from '../src/operators/sparse.js';
import * as reference from '../src/reference.js';
import { U } from '../src/testing/operators.js';
import { values } from '../src/testing/values.js';
import type { Kernels, Pointer } from '../src/wasm/kernels.js';
import { Runtime } from '../src/wasm/runtime.js';

/** Kernels that run programs: test/operators/ and test/nn/ hold them against their oracles. */
export const PROGRAM_KERNELS = [
  'run_program',
  'f32_lstm_forward',
  'f32_lstm_backward',
  'f32_gru_forward',
  'f32_gru_backward',
  'f32_softmax_head',
] as const;

/** Those of small files: test/kernels/codes.test.ts. */
export const CODE_KERNELS = [
  'f32_dequantise',
  'f32_from_halves',
  'f32_quantise',
  'f32_to_halves',
  'rice_decode',
] as const;

export type KernelName = Exclude<
  keyof Kernels,
  'heapBase' | 'F32_GEMM_SCRATCH' | (typeof PROGRAM_KERNELS | typeof CODE_KERNELS)[number]
>;

export { U, U64 } from '../src/testing/operators.js';
export { values } from '../src/testing/values.js';

export const runtime = new Runtime();

export const twins: Record<KernelName, (...args: never[]) => unknown> = { ...reference };

// ---- arguments

/** An array that the kernel writes: what it holds before. Given twice in a call, it is one array. */
export class Written {
  constructor(readonly start: Float32Array | Float64Array | Uint32Array) {}
}

/** Memory for the kernel alone: scratch or temp, of which the twin knows nothing. */
export class Workspace {
  constructor(readonly bytes: number) {}
}

/** A bare array is only read; null is a null pointer. Numbers are rounded to f32 unless whole. */
export type Argument =
  | number
  | boolean
  | null
  | Float32Array
  | Uint32Array
  | Int32Array
  | Uint8Array
  | Written
  | Workspace;

/** n whole numbers in [0, below). */
export function whole(n: number, below: number): Uint32Array {
  return Uint32Array.from(values(n), (v) => Math.floor(((v + 1) / 2) * below));
}

/** An output whose old contents must not matter. */
export function written(n: number): Written {
  return new Written(new Float32Array(n).fill(Number.NaN));
}

/** An output that is added to, or written in part. */
export function updated(n: number): Written {
  return new Written(values(n));
}

// ---- running

export interface Result {
  /** What the function returned, if anything. */
  value: number | undefined;
  /** The arrays it wrote, in the order of the arguments. */
  outputs: ArrayLike<number>[];
}

const GUARD = 64; // bytes around every array

const bytesOf = (argument: Argument) => {
  if (argument instanceof Workspace) return argument.bytes;
  return argument instanceof Written ? argument.start.byteLength : (argument as Float32Array).byteLength;
};

/**
 * Calls a kernel. Its arrays lie as badly aligned as is allowed, among bytes of NaN: what is read beside an array shows
 * in the result, and all that is no output must be unchanged afterwards. One of them, by lot, ends where the memory
 * ends.
 */
export function runKernel(name: KernelName, args: readonly Argument[]): Result {
  const mark = runtime.mark();
  const arrays = [...new Set(args)].filter((argument) => argument !== null && typeof argument === 'object');
  const drawn = arrays[whole(1, arrays.length)[0]];
  const last = drawn instanceof Workspace ? undefined : drawn;
  const places = new Map<Argument, Pointer>();
  for (const argument of arrays) {
    if (argument === last) continue;
    const offset = argument instanceof Workspace ? 0 : 4;
    places.set(argument, runtime.alloc(GUARD + offset + bytesOf(argument) + GUARD) + GUARD + offset);
  }
  const size = runtime.mark() - mark;
  if (last) {
    runtime.alloc(bytesOf(last));
    places.set(last, runtime.usage().held - bytesOf(last));
  }
  runtime.bytes(mark, size).fill(0xff);
  for (const argument of arrays) {
    if (argument instanceof Workspace) continue;
    const { buffer, byteOffset, byteLength } = argument instanceof Written ? argument.start : argument;
    runtime.bytes(places.get(argument)!, byteLength).set(new Uint8Array(buffer, byteOffset, byteLength));
  }
  const before = runtime.bytes(mark, size).slice();
  const value = call(name, args, places);
  const after = runtime.bytes(mark, size).slice();
  const outputs: ArrayLike<number>[] = [];
  for (const argument of arrays) {
    if (!(argument instanceof Written || argument instanceof Workspace)) continue;
    const at = places.get(argument)!;
    if (argument instanceof Written) {
      const type = argument.start.constructor as Float32ArrayConstructor;
      outputs.push(new type(runtime.bytes(at, bytesOf(argument)).slice().buffer));
    }
    if (argument === last) continue;
    before.fill(0, at - mark, at - mark + bytesOf(argument));
    after.fill(0, at - mark, at - mark + bytesOf(argument));
  }
  runtime.release(mark);
  const changed = firstDifference(after, before);
  if (changed >= 0) {
    const at = mark + changed;
    const [nearest] = [...places].sort(([a, p], [b, q]) => distance(at, p, bytesOf(a)) - distance(at, q, bytesOf(b)));
    const place = `byte ${at - nearest[1]} of argument ${args.indexOf(nearest[0])}, of ${bytesOf(nearest[0])} bytes`;
    assert.unreachable(`${describe(name, args)} wrote ${place}`);
  }
  return { value, outputs };
}

/** Where two copies of as many bytes differ first, or -1. By words: a gemm has hundreds of kilobytes of scratch. */
function firstDifference(a: Uint8Array, b: Uint8Array): number {
  const words = (bytes: Uint8Array) => new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length >> 2);
  const [v, w] = [words(a), words(b)];
  let same = 0;
  while (same < v.length && v[same] === w[same]) same++;
  for (let i = 4 * same; i < a.length; i++) if (a[i] !== b[i]) return i;
  return -1;
}

function call(name: KernelName, args: readonly Argument[], places: Map<Argument, Pointer>): number | undefined {
  const kernel = runtime.kernels[name] as (...args: unknown[]) => number | undefined;
  try {
    return kernel(...args.map((a) => (a === null ? 0 : typeof a === 'object' ? places.get(a) : rounded(a))));
  } catch (error) {
    const ends = runtime.usage().held;
    const last = args.findIndex((a) => places.has(a) && places.get(a)! + bytesOf(a) === ends);
    assert.unreachable(`${describe(name, args)}, argument ${last} at the end of the memory: ${error}`);
    throw error;
  }
}

const distance = (at: Pointer, start: Pointer, bytes: number) => Math.max(start - at, at - (start + bytes - 1));

const rounded = (a: number | boolean) => (typeof a === 'number' && !Number.isInteger(a) ? Math.fround(a) : a);

/** Calls a twin, on the arguments or on their absolute values. */
export function runTwin(name: KernelName, args: readonly Argument[], absolute = false): Result {
  const arrays = new Map<Argument, Float64Array>();
  const copy = (argument: Argument, data: ArrayLike<number>) => {
    if (!arrays.has(argument)) arrays.set(argument, Float64Array.from(data, absolute ? Math.abs : undefined!));
    return arrays.get(argument);
  };
  const twin = twins[name] as (...args: unknown[]) => number | undefined;
  const value = twin(
    ...args
      .filter((a) => !(a instanceof Workspace))
      .map((a) => {
        if (a instanceof Written) return copy(a, a.start);
        if (a === null) return undefined;
        if (typeof a === 'object') return copy(a, a as Float32Array);
        return typeof a === 'number' && absolute ? Math.abs(rounded(a) as number) : rounded(a);
      }),
  );
  return { value, outputs: [...arrays].filter(([a]) => a instanceof Written).map(([, array]) => array) };
}

// ---- comparing

export interface Case {
  args: readonly Argument[];
  /**
   * The most roundings between the arguments and a result. The result then errs by at most about so many times the unit
   * roundoff, times the sum of its terms' absolute values, which the twin gives for the arguments' absolute values
   * (Higham, 2002, 3.1). None means equal.
   */
  roundings?: number;
  /** The unit of the roundings, f32's unless told. */
  unit?: number;
  /**
   * For a kernel that is no sum of products: the largest error of element i of an output, given what the twin computed.
   */
  bound?: (i: number, output: number, exact: ArrayLike<number>[]) => number;
}

/** Fails unless the kernel's results are its twin's to within the bound. */
export function check(name: KernelName, { args, roundings = 0, unit = U, bound }: Case): void {
  const got = runKernel(name, args);
  const exact = runTwin(name, args);
  const all = ({ value, outputs }: Result) => (value === undefined ? outputs : [...outputs, [value]]);
  const size = bound ? undefined : all(runTwin(name, args, true));
  const factor = (roundings * unit) / (1 - roundings * unit);
  const results = all(got);
  assert.ok(results.length > 0, `${name} has no result`);
  results.forEach((result, output) => {
    const wanted = all(exact)[output];
    for (let i = 0; i < wanted.length; i++) {
      const allowed = bound ? bound(i, output, exact.outputs) : factor * size![output][i];
      if (!close(result[i], wanted[i], allowed)) {
        const message = `${result[i]}, not ${wanted[i]}, off by ${Math.abs(result[i] - wanted[i])} > ${allowed}`;
        assert.unreachable(`${describe(name, args)}: result ${output} [${i}] is ${message}`);
      }
    }
  });
}

/** Equal (a NaN is equal to a NaN), or no further apart than allowed. */
export function close(got: number, wanted: number, allowed: number): boolean {
  return Object.is(got, wanted) || got === wanted || Math.abs(got - wanted) <= allowed;
}

function describe(name: string, args: readonly Argument[]): string {
  const shown = args.map((a) => {
    if (a === null || typeof a !== 'object') return String(a);
    return a instanceof Workspace ? `${a.bytes} bytes` : `[${a instanceof Written ? a.start.length : a.length}]`;
  });
  return `${name}(${shown.join(', ')})`;
}

/** Which weights of a matrix are alive, u8[M N], whatever its form. */
export function maskOf(matrix: Sparse): Uint8Array {
  const { columns, starts } = matrix.entries();
  const ones = new Uint8Array(columns.length).fill(1);
  return Uint8Array.from(reference.csrToDense(ones, columns, starts, matrix.M, matrix.N));
}
