import { InputError, invalid } from '../errors.js';
import { takeInventory } from '../io/inventory.js';
import { measureFile } from '../io/measure-file.js';
import { encodeNetwork } from '../io/model-file.js';
import { bitsOfAll, type FewBits, leavesOf, ROLES, type StoredBits } from '../nn/leaves.js';
import type { Model } from '../nn/model.js';
import { taskData } from '../tasks/model-file.js';
import type { Quality } from '../tasks/training.js';
import { InputMoments, roundWithMoments } from '../train/rounding.js';
import { Runtime } from '../wasm/runtime.js';
import type { Work } from '../work.js';
import { describeCompression, formatBytes } from './bytes.js';
import { loadHashedModel } from './model.js';
import { compressedFor, writeModelBytes } from './model-bytes.js';
import { checkOutputs } from './outputs.js';
import { flagOf } from './parsers.js';
import { showing } from './progress.js';
import { type Candidate, chooseBits, type Goal, lossOf, measureRoles, type RoleCosts, rolesOf } from './search-bits.js';
import { formatTable } from './table.js';
import type { AnyTask, Measurement } from './task.js';
import { decodeModel, taskNamed } from './tasks.js';
import { percent, sharesOf, type UnknownShares, warningsOf } from './unknown.js';

interface ExportArguments {
  data?: string;
  out: string;
  bits?: FewBits;
  target?: number;
  maxLoss?: number;
  json?: boolean;
}

/** Biases are few, and every output has one. */
const REST: StoredBits = { vectors: 16 };

/** What a file loses at most unless told otherwise. */
const MAX_LOSS = 0.01;

/**
 * Writes a small file of a model: chooses the bits of each role by what they cost on the validation split, rounds with
 * error compensation, and measures the file on the test split, if there is one. Without data, only the bits that are given
 * can be used, and nothing is measured.
 */
export async function exportModel(path: string, given: ExportArguments): Promise<void> {
  const { data, out, bits, json } = given;
  const goals = (['bits', 'target', 'maxLoss'] as const).filter((name) => given[name] !== undefined);
  if (goals.length > 1) {
    throw new InputError(
      `${goals.map(flagOf).join(' and ')}: got both; expected one of --bits, --target and --max-loss`,
    );
  }
  if (data === undefined && bits === undefined) {
    throw invalid('--data', data, 'the data of its training, to choose the bits on; or --bits');
  }
  const { model, bytes: before, size } = await loadHashedModel(path, new Runtime());
  const task = taskNamed(model.task);
  const inputs = data === undefined ? [] : task.inputs(data);
  await checkOutputs([{ option: '--out', path: out }], [{ option: '<model>', path }, ...inputs]);
  const fileBefore = measureFile(before, size);
  const { dense } = fileBefore;
  const small = new SmallFiles(model);
  const found: Found =
    data === undefined ? { bits: bitsOfAll(bits!) } : await measured(small, task, data, given, dense);

  const bytes = small.encode(found.bits);
  const stored = decodeModel(new Runtime(), bytes);
  const after = await writeModelBytes(out, bytes);
  const { compression, tensors } = takeInventory(stored, measureFile(bytes, after));
  const { tensors: tensorsBefore } = takeInventory(model, fileBefore);
  const test = found.corpus === undefined ? undefined : await testBoth(task, model, stored, found.corpus);
  const roles = ROLES.flatMap((role) => {
    const sum = (list: typeof tensors, key: 'nnz' | 'bytes') =>
      list.reduce((total, entry) => total + (entry.role === role ? entry[key] : 0), 0);
    const numbers = sum(tensors, 'nnz');
    if (numbers === 0) return [];
    const own = found.bits[role] ?? 32;
    const loss = found.costs?.find((one) => one.role === role)?.costs.find((cost) => cost.own === own)?.loss;
    return {
      role,
      numbers,
      bits: own,
      bytes: { before: sum(tensorsBefore, 'bytes'), after: sum(tensors, 'bytes') },
      ...(loss !== undefined && { loss }),
    };
  });
  const { valid, unknown } = found;
  const result = {
    out,
    bits: found.bits,
    roles,
    bytes: { before: size, after, dense },
    compression,
    ...(valid && { valid }),
    ...(test && { test }),
    ...unknown,
  };
  if (json) {
    process.stdout.write(`${JSON.stringify(result)}\n`);
    return;
  }
  const table = {
    columns: ['role', 'numbers', 'bits', 'bytes before', 'bytes after', 'loss alone'],
    rows: roles.map(({ role, numbers, bits, bytes, loss }) => [
      role,
      numbers,
      bits,
      bytes.before,
      bytes.after,
      loss === undefined ? '-' : percent(loss, 2),
    ]),
  };
  const losses = Object.entries({ valid, test }).flatMap(([split, one]) =>
    one ? `loss on ${split}: ${percent(one.loss, 2)}\n` : [],
  );
  process.stdout.write(`${formatTable(table)}

${out}: ${formatBytes(after)}, before ${formatBytes(size)}; dense f32 would be ${formatBytes(dense)}
compression: ${describeCompression(compression)}
${losses.join('')}`);
}

/** What was found out with data. */
interface Found {
  bits: StoredBits;
  corpus?: unknown;
  costs?: readonly RoleCosts[];
  valid?: Compared;
  unknown?: UnknownShares;
}

/** A quality before and after, and the loss: see lossOf(). */
interface Compared {
  before: Quality;
  after: Quality;
  loss: number;
}

/** Measures what bits cost, and chooses. */
async function measured(
  small: SmallFiles,
  task: AnyTask,
  data: string,
  given: ExportArguments,
  dense: number,
): Promise<Found> {
  const { model } = small;
  const corpus = await task.readFor(model, data);
  const valid = task.measurement(model, corpus, 'valid');
  if (!valid) throw invalid('--data', data, 'data with a validation split, to choose the bits on');
  for (const line of warningsOf('valid', valid.unknown)) process.stderr.write(`${line}\n`);
  const before = await showing('measuring', valid.size, small.watching(valid));
  const qualities = new Map<StoredBits, Quality>();
  const measure = function* (bits: StoredBits): Work<Candidate> {
    const bytes = small.encode(bits);
    const stored = decodeModel(new Runtime(), bytes);
    const quality = yield* compared(task.measurement(stored, corpus, 'valid')!);
    qualities.set(bits, quality);
    return { bits, bytes: compressedFor(given.out, bytes).length, loss: lossOf(before, quality) };
  };
  const sizeOf = (bits: StoredBits) => compressedFor(given.out, small.encode(bits)).length;
  const roles = rolesOf(leavesOf(model.network));
  const costs = await showing('measuring roles', valid.size, measureRoles(roles, REST, measure));
  const { bits, loss } = await choose(given, costs, dense, measure, sizeOf, valid.size);
  const test = task.measurement(model, corpus, 'test');
  for (const line of test ? warningsOf('test', test.unknown) : []) process.stderr.write(`${line}\n`);
  const unknown = sharesOf({ valid: valid.unknown, ...(test && { test: test.unknown }) });
  return { bits, corpus, costs, valid: { before, after: qualities.get(bits)!, loss }, unknown };
}

/** The bits that the options ask for. */
async function choose(
  { bits, target, maxLoss = MAX_LOSS }: ExportArguments,
  costs: readonly RoleCosts[],
  dense: number,
  measure: (bits: StoredBits) => Work<Candidate>,
  sizeOf: (bits: StoredBits) => number,
  text: string,
): Promise<Candidate> {
  if (bits !== undefined) return await showing('measuring', text, measure(bitsOfAll(bits)));
  const goal: Goal = target === undefined ? { loss: maxLoss } : { bytes: dense / target, sizeOf };
  const chosen = await showing('choosing', text, chooseBits(costs, REST, goal, measure));
  if (chosen) return chosen;
  if (target === undefined) throw invalid('--max-loss', maxLoss, 'a larger one: 8 bits lose more');
  const fewest = Object.fromEntries(costs.map(({ role }) => [role, 2 as const]));
  const bytes = sizeOf({ ...REST, ...fewest });
  throw invalid('--target', `${target}x`, `at most ${(dense / bytes).toFixed(1)}x, which 2 bits reach with this model`);
}

/** The loss of a stored model on the test split; undefined where there is none. */
async function testBoth(task: AnyTask, model: Model, stored: Model, corpus: unknown): Promise<Compared | undefined> {
  const [one, other] = [model, stored].map((each) => task.measurement(each, corpus, 'test'));
  if (!one || !other) return undefined;
  const before = (await showing('testing', one.size, one.measureInParts())).quality;
  const after = (await showing('testing', other.size, other.measureInParts())).quality;
  return { before, after, loss: lossOf(before, after) };
}

/** What models are compared by. */
function* compared(measurement: Measurement): Work<Quality> {
  if (measurement.compareInParts) return yield* measurement.compareInParts();
  return (yield* measurement.measureInParts()).quality;
}

/** Small files of a model, rounded with what was seen while it was measured. */
class SmallFiles {
  private moments: InputMoments | undefined;
  private readonly rounded = new Map<string, Map<string, Uint8Array>>();

  constructor(readonly model: Model) {}

  /** Measures the model, and looks at what its matrices are multiplied with. */
  *watching(measurement: Measurement): Work<Quality> {
    this.moments = new InputMoments(this.model.network);
    try {
      return yield* compared(measurement);
    } finally {
      this.moments.stop();
    }
  }

  private round(bits: StoredBits): Map<string, Uint8Array> {
    return this.moments ? roundWithMoments(this.model.network, bits, this.moments) : new Map();
  }

  encode(bits: StoredBits): Uint8Array {
    const { network } = this.model;
    const rounded = new Map<string, Uint8Array>();
    for (const [role, own] of Object.entries(bits)) {
      const key = `${role} ${own}`;
      const one = this.rounded.get(key) ?? this.round({ [role]: own });
      this.rounded.set(key, one);
      for (const [name, codes] of one) rounded.set(name, codes);
    }
    return encodeNetwork(network, taskData(this.model), bits, rounded);
  }
}
