// Reads arrays of numpy: an .npz file is a zip archive of .npy files. https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html

import { unzipSync } from 'fflate';
import { InputError } from '../../errors.js';
import type { SeriesExamples, SeriesTarget } from '../../tasks/series/training.js';
import { show } from '../../values.js';

/** A row-major array of numbers, or of texts; `isWhole` where the numbers are integers. */
interface NumpyArray {
  shape: number[];
  values: ArrayLike<number> | string[];
  isWhole: boolean;
}

/** An archive may not grow beyond this many bytes: more would be no data that fit in memory beside their training. */
const MOST_BYTES = 2 ** 30;

/**
 * The arrays of these names in an archive, those that are there.
 *
 * @param path the file, for messages
 * @throws InputError for what is no such archive, and for arrays of other types than numbers and texts
 */
function readNpz(path: string, bytes: Uint8Array, names: readonly string[]): Record<string, NumpyArray> {
  let files: Record<string, Uint8Array>;
  let size = 0;
  try {
    files = unzipSync(bytes, {
      filter({ name, originalSize }) {
        if (!names.includes(name.replace(/\.npy$/, ''))) return false;
        size += originalSize;
        return size <= MOST_BYTES;
      },
    });
  } catch (cause) {
    throw new InputError(
      `${path}: got what is no zip archive (${(cause as Error).message}); expected what numpy.savez writes`,
      {
        cause,
      },
    );
  }
  if (size > MOST_BYTES) throw new InputError(`${path}: got arrays of ${size} bytes; expected at most ${MOST_BYTES}`);
  return Object.fromEntries(
    Object.entries(files).map(([name, file]) => {
      const array = name.replace(/\.npy$/, '');
      return [array, readNpy(`${path}, array ${array}`, file)];
    }),
  );
}

const HEADER = /^\{'descr': '([<|])([a-zA-Z])(\d+)', 'fortran_order': (True|False), 'shape': \(([\d, ]*)\), \}\s*$/;

/** '\x93NUMPY' */
const MAGIC = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59];

function readNpy(where: string, file: Uint8Array): NumpyArray {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const wrong = (got: unknown, expected: string) => new InputError(`${where}: got ${show(got)}; expected ${expected}`);
  const isNpy = file.length >= 12 && MAGIC.every((byte, i) => byte === file[i]);
  if (!isNpy) throw wrong(`${file.length} bytes`, 'an array as numpy.savez writes it');
  const long = file[6] > 1;
  const start = long ? 12 : 10;
  const data = start + (long ? view.getUint32(8, true) : view.getUint16(8, true));
  const text = new TextDecoder().decode(file.subarray(start, Math.min(data, start + 10_000)));
  const found = HEADER.exec(text);
  if (!found) throw wrong(text.slice(0, 200), 'a header of numbers or texts in little-endian order');
  const [, , kind, digits, fortran, sides] = found;
  if (fortran === 'True') throw wrong('columns first', 'rows first: numpy.ascontiguousarray() makes it so');
  const shape = sides.split(',').flatMap((side) => (side.trim() ? [Number(side)] : []));
  const length = shape.reduce((product, side) => product * side, 1);
  const bytes = Number(digits) * (kind === 'U' ? 4 : 1);
  if (file.length - data !== length * bytes)
    throw wrong(`${file.length - data} bytes`, `${length} items of ${bytes} bytes`);
  if (kind === 'U') {
    const texts = Array.from({ length }, (_, i) => {
      const points = Array.from({ length: Number(digits) }, (_, j) => view.getUint32(data + i * bytes + 4 * j, true));
      if (points.some((point) => point > 0x10ffff)) throw wrong(points, 'code points');
      return String.fromCodePoint(...points).replace(/\0+$/, '');
    });
    return { shape, values: texts, isWhole: false };
  }
  const read = READERS[`${kind}${digits}`];
  if (!read) throw wrong(`type ${kind}${digits}`, `one of ${Object.keys(READERS).join(', ')} or texts`);
  const values = Float64Array.from({ length }, (_, i) => read(view, data + i * bytes));
  return { shape, values, isWhole: kind !== 'f' };
}

/** Little-endian numbers by their type in numpy. */
const READERS: Record<string, (view: DataView, at: number) => number> = {
  f4: (view, at) => view.getFloat32(at, true),
  f8: (view, at) => view.getFloat64(at, true),
  i1: (view, at) => view.getInt8(at),
  i2: (view, at) => view.getInt16(at, true),
  i4: (view, at) => view.getInt32(at, true),
  i8: (view, at) => Number(view.getBigInt64(at, true)),
  u1: (view, at) => view.getUint8(at),
  u2: (view, at) => view.getUint16(at, true),
  u4: (view, at) => view.getUint32(at, true),
  u8: (view, at) => Number(view.getBigUint64(at, true)),
  b1: (view, at) => view.getUint8(at),
};

/**
 * The sequences of an archive: x, numbers of shape [n, T, F], or [n, T] for frames of one number; and, with `answers`, y of shape
 * [n], or [n, T] with an answer for each step. Texts and integers of y are labels, other numbers are numbers. `size` holds the
 * numbers of a frame, or 0 before the first.
 */
export function examplesOfNpz(
  path: string,
  bytes: Uint8Array,
  size: { frames: number },
  answers: boolean,
): SeriesExamples {
  const { x, y } = readNpz(path, bytes, answers ? ['x', 'y'] : ['x']);
  const wrong = (what: string, got: unknown, expected: string) =>
    new InputError(`${path}: got ${show(got)} for ${what}; expected ${expected}`);
  if (!x || Array.isArray(x.values)) throw wrong('x', x?.shape, 'an array of numbers');
  const [n, T, F = 1] = x.shape;
  if (x.shape.length < 2 || x.shape.length > 3 || x.shape.includes(0)) {
    throw wrong('x', x.shape, 'the shape [sequences, steps, numbers of a frame], none of them 0');
  }
  size.frames ||= F;
  if (F !== size.frames) throw wrong('x', x.shape, `frames of ${size.frames} numbers, as in other files`);
  const numbers = Float32Array.from(x.values);
  const bad = numbers.findIndex((number) => !Number.isFinite(number));
  if (bad >= 0) throw wrong(`number ${bad} of x`, x.values[bad], 'a finite number');
  const sequences = Array.from({ length: n }, (_, i) => numbers.subarray(i * T * F, (i + 1) * T * F));
  return { sequences, targets: answers ? targetsOf(y, [n, T], wrong) : [] };
}

function targetsOf(
  y: NumpyArray | undefined,
  [n, T]: [number, number],
  wrong: (what: string, got: unknown, expected: string) => InputError,
): SeriesTarget[] {
  const isEach = y?.shape.length === 2 && y.shape[0] === n && y.shape[1] === T;
  if (!y || !(isEach || (y.shape.length === 1 && y.shape[0] === n))) {
    throw wrong('y', y?.shape, `the shape [${n}], or [${n},${T}] with an answer for each step`);
  }
  const all = Array.from(y.values as ArrayLike<string | number>, (one) => (y.isWhole ? String(one) : one));
  const bad = all.findIndex((one) => one === '' || (typeof one === 'number' && !Number.isFinite(one)));
  if (bad >= 0) throw wrong(`item ${bad} of y`, all[bad], 'a label that is not empty, or a finite number');
  if (!isEach) return all;
  return Array.from({ length: n }, (_, i) => all.slice(i * T, (i + 1) * T) as string[]);
}
