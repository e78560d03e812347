import { realpath, stat } from 'node:fs/promises';
import { isAbsolute, join, relative, resolve } from 'node:path';
import { InputError, invalid, malformed, TrainingError } from '../errors.js';
import { readFileBytes, writeFileAtomically } from '../io/files.js';
import { type Inventory, takeInventory } from '../io/inventory.js';
import { measureFile } from '../io/measure-file.js';
import { asObject } from '../io/model-header.js';
import type { Model } from '../nn/model.js';
import { planNetwork } from '../nn/network.js';
import { describePlan } from '../operators/budget.js';
import { decodeCheckpoint, encodeCheckpoint } from '../tasks/checkpoint.js';
import { encodeModel } from '../tasks/model-file.js';
import type { Quality, Training } from '../tasks/training.js';
import type { TrainRecord } from '../train/records.js';
import { Runtime } from '../wasm/runtime.js';
import { whyNoThreads } from '../wasm/threads.js';
import { counted } from './counted.js';
import { loadHashedModel, loadModel, naming } from './model.js';
import { writeModelBytes } from './model-bytes.js';
import { checkOutputs, type Input, type Output } from './outputs.js';
import { Interrupted, pause, stoppable } from './stopping.js';
import type { RunSource, Task } from './task.js';
import { describeShares, sharesOf, type UnknownShares } from './unknown.js';

export interface RunPlaces {
  /** Folder for checkpoints, which exists and belongs to this run; without it, no checkpoints are written. */
  checkpoint?: string;
  /** Seconds between two checkpoints. */
  checkpointEvery: number;
  out: string;
  /** Files for the training records (JSON) and for a page with their curves (HTML). */
  records?: string;
  report?: string;
  /** Number of threads, which changes no bit of the result. */
  threads?: number;
  /** Do not read the test split: this run only decides between settings. */
  withoutTest?: boolean;
}

export interface RunWatcher {
  /** Prints a line. */
  announce(text: string): void;
  step(now: StepReport): void;
  /** Progress of an evaluation, from 0 to 1, after `done` of `total` steps. */
  evaluating(share: number, done: number, total: number): void;
  /** Whether the run should write a checkpoint and stop. Called between two parts of the work. */
  readonly interrupted: () => boolean;
}

export interface StepReport {
  done: number;
  total: number;
  tokensPerSecond: number;
  loss: number;
  /** Whether the loss is in nats. */
  lossInNats: boolean;
  sparsity: number;
}

/** The result that `train` prints with --json. */
export interface TrainResult extends UnknownShares {
  method: string;
  seed: number;
  compression: Inventory['compression'];
  parameters: Inventory['parameters'];
  valid: Quality;
  /** Left out if the data have no test split, or it was not measured. */
  test?: Quality;
  tokensPerSecond: number;
  seconds: number;
  out: string;
}

const CHECKPOINT_FILE = 'checkpoint.safetensors';

export interface Outcome {
  result: TrainResult;
  records: TrainRecord[];
  places: RunPlaces;
  /** Failures after the model was written. */
  problems: Error[];
}

const UNSTARTED = 'stopped before the first step; nothing was written';

/** Runs a training from the start: trains, writes the model, evaluates. */
export async function runTraining<S extends RunSource, D, T extends Training, E, M>(
  task: Task<S, D, T, E, M>,
  source: S,
  options: T['options'],
  places: RunPlaces,
  watcher: RunWatcher,
): Promise<Outcome> {
  const ready = () => pause(watcher.interrupted, UNSTARTED);
  await checkPlaces(task, source, places);
  const data = await task.read(source);
  await ready();
  const runtime = await startRuntime(places, watcher);
  const from = source.from === undefined ? undefined : await loadModel(source.from, runtime);
  const { model: teacher, hash: teacherHash } = await loadTeacher(source, runtime);
  const schema = task.schema(data, source, from ?? teacher);
  await ready();
  const encoded = task.encode(data, source, schema);
  await ready();
  const training = task.training.create(runtime, schema, options, encoded, { teacher });
  if (from) {
    if (options.method !== 'dense') {
      watcher.announce(`decomposing the matrices of ${source.from} for --method ${options.method}`);
    }
    await stoppable(training.startFromInParts(from), watcher.interrupted).catch((error) => {
      throw error instanceof Interrupted ? new Interrupted(UNSTARTED, { cause: error }) : error;
    });
  }
  return finish(task, training, data, { ...source, teacherHash }, places, watcher);
}

/** Loads the teacher of a run, if it has one. */
async function loadTeacher(
  { teacher, teacherHash }: RunSource,
  runtime: Runtime,
): Promise<{ model?: Model; hash?: string }> {
  if (teacher === undefined) return {};
  const loaded = await loadHashedModel(teacher, runtime);
  if (teacherHash !== undefined && loaded.hash !== teacherHash) {
    throw new InputError(`--teacher: got ${teacher}, which has changed; expected the file that the run started with`);
  }
  return loaded;
}

export async function hasCheckpoint(folder: string): Promise<boolean> {
  return (await find(join(folder, CHECKPOINT_FILE))) !== undefined;
}

/** A run as a checkpoint describes it. Paths in the file are absolute. */
type SavedRun<S extends RunSource> = S & Pick<RunPlaces, 'out' | 'records' | 'report'>;

/**
 * Resumes the run whose checkpoint is in a folder. `moved` has new paths of its data and its teacher; `places` chooses the
 * outputs, given those of the run so far.
 */
export async function resumeTraining<S extends RunSource, D, T extends Training, E, M>(
  task: Task<S, D, T, E, M>,
  folder: string,
  moved: Pick<Partial<RunSource>, 'data' | 'teacher'>,
  places: (run: SavedRun<S>) => RunPlaces,
  watcher: RunWatcher,
): Promise<Outcome> {
  const { task: name } = task.training;
  const ready = () => pause(watcher.interrupted, `stopped before the next step; ${howToGoOn(name, folder)}`);
  const path = join(folder, CHECKPOINT_FILE);
  const bytes = await readFileBytes(path);
  const { run, schema, resume } = naming(path, () => {
    const checkpoint = decodeCheckpoint(bytes, task.training);
    return { ...checkpoint, run: checkRun(task, checkpoint.run) };
  });
  if (moved.teacher !== undefined && run.teacher === undefined) {
    throw invalid('--teacher', moved.teacher, 'no teacher, since the run started without one');
  }
  const { data: at = run.data, teacher: teacherAt = run.teacher } = moved;
  const source: S = { ...run, data: at, ...(teacherAt !== undefined && { teacher: teacherAt }) };
  const chosen = places(run);
  await checkPlaces(task, source, chosen, folder);
  const data = await task.read(source).catch((cause) => {
    if (moved.data !== undefined || !(cause instanceof InputError)) throw cause;
    throw new InputError(`${cause.message}; --data can name another path of the same data`, { cause });
  });
  await ready();
  const encoded = task.encode(data, source, schema);
  await ready();
  const runtime = await startRuntime(chosen, watcher);
  const { model: teacher } = await loadTeacher(source, runtime);
  const training = naming(path, () => resume(runtime, encoded, teacher));
  return finish(task, training, data, source, chosen, watcher);
}

/** Fields of a saved run that are paths. */
const PATHS = ['data', 'from', 'teacher', 'out', 'records', 'report'] as const;

/** The description of a run for its checkpoint, with absolute paths, so that it can be resumed from any folder. */
function savedRun<S extends RunSource>(task: Inputs, source: S, { out, records, report }: RunPlaces): SavedRun<S> {
  return mapPaths(task, { ...source, out, records, report }, (path) => resolve(path));
}

function checkRun<S extends RunSource>(
  task: Inputs & { isSource(source: Record<string, unknown>): boolean },
  value: unknown,
): SavedRun<S> {
  const run = asObject(value, 'run');
  for (const field of [...PATHS, 'teacherHash']) {
    const isWanted = field === 'data' || field === 'out';
    const found = run[field];
    if (found === undefined ? isWanted : typeof found !== 'string' || found === '') {
      throw malformed(`run.${field}`, found, 'a text');
    }
  }
  if (!task.isSource(run)) throw malformed('run', run, 'what dopant train writes there');
  return mapPaths(task, run as unknown as SavedRun<S>, shorten);
}

/** Changes the paths of a run. `data` may also be the name of a data set, which stays as it is. */
function mapPaths<R extends RunSource>({ inputs }: Inputs, run: R, change: (path: string) => string): R {
  const paths = PATHS.flatMap((field) => {
    const path = (run as Record<string, unknown>)[field];
    if (typeof path !== 'string') return [];
    const changed = change(path);
    const isPath = field !== 'data' || (inputs(path).length > 0 && inputs(changed).length > 0);
    return isPath ? [[field, changed]] : [];
  });
  return { ...run, ...Object.fromEntries(paths) };
}

/** Makes a path inside the current folder relative. */
function shorten(path: string): string {
  const short = relative('', path);
  return short === '' || short.startsWith('..') || isAbsolute(short) ? path : short;
}

async function finish<S extends RunSource, D, T extends Training, E, M>(
  task: Task<S, D, T, E, M>,
  training: T,
  data: D,
  source: S,
  places: RunPlaces,
  watcher: RunWatcher,
): Promise<Outcome> {
  const { model, options, totalSteps, tokensPerStep, trainer } = training;
  const { out, checkpoint, checkpointEvery, withoutTest } = places;
  const { interrupted } = watcher;
  const testSplit = withoutTest ? undefined : task.measurement(model, data, 'test');
  const shares = sharesOf({ ...task.unknown(training), ...(testSplit && { test: testSplit.unknown }) });
  // Returns why it failed, which is no reason to stop: the disk may have room later.
  const save = async (): Promise<string | undefined> => {
    if (checkpoint === undefined) return undefined;
    training.checkFinite();
    const bytes = encodeCheckpoint(training, savedRun(task, source, places));
    try {
      await writeFileAtomically(join(checkpoint, CHECKPOINT_FILE), bytes);
      return undefined;
    } catch (error) {
      return (error as Error).message;
    }
  };
  let modelBytes: Uint8Array | undefined;
  let modelSize: number | undefined;
  const writeModel = async () => {
    training.checkFinite();
    try {
      modelBytes = encodeModel(model, training.bits);
      modelSize = await writeModelBytes(out, modelBytes);
    } catch (error) {
      // At least the checkpoint is kept, then.
      await save();
      throw error;
    }
  };
  watcher.announce(`${task.describe(training, data)}; ${describeMatrices(training)}`);
  for (const line of describeShares(shares)) watcher.announce(line);
  let start = performance.now();
  const seconds = () => (performance.now() - start) / 1000;
  const stepsBefore = trainer.stepsDone;
  const speed = () => ((trainer.stepsDone - stepsBefore) * tokensPerStep) / seconds();
  let saved = 0;
  let smooth: number | undefined; // the loss, smoothed for show
  let failure: string | undefined; // of the last checkpoint
  const evaluating = (share: number) => watcher.evaluating(share, trainer.stepsDone, totalSteps);
  try {
    if (!training.done) {
      const megabytes = Math.ceil((await stoppable(training.rehearseInParts(), interrupted)) / 2 ** 20);
      const { threads } = model.runtime;
      const shared = threads > 1 ? `, shared by ${threads} threads` : '';
      watcher.announce(`memory: ${megabytes} MB throughout the training${shared}`);
    }
    start = performance.now();
    while (!training.done) {
      if (training.evaluationDue) {
        await stoppable(training.evaluateInParts(), interrupted, evaluating);
      } else {
        const loss = await stoppable(training.stepInParts(), interrupted);
        smooth = smooth === undefined ? loss : 0.95 * smooth + 0.05 * loss;
        const { lossInNats } = training;
        const { sparsity, stepsDone: done } = trainer;
        watcher.step({ done, total: totalSteps, tokensPerSecond: speed(), loss: smooth, lossInNats, sparsity });
      }
      // After the last step of an epoch, the evaluation decides whether the weights are worth keeping.
      if (!training.evaluationDue && seconds() - saved >= checkpointEvery) {
        const before = failure;
        failure = await save();
        if (failure !== before)
          watcher.announce(
            failure ? `${failure}; training continues, and tries again` : 'checkpoints are written again',
          );
        saved = seconds();
      }
    }
    if (training.epoch < options.epochs) {
      watcher.announce(
        `stopped early, after ${training.epoch} of ${options.epochs} epochs: the validation perplexity no longer improves; the model is that of the best epoch`,
      );
    }
  } catch (error) {
    if (!(error instanceof Interrupted)) throw error;
    const told = [`stopped at step ${trainer.stepsDone} of ${totalSteps}`];
    if (training.trained) {
      await writeModel();
      told.push(`the model is in ${out}`);
    }
    failure = await save();
    if (failure !== undefined) told.push(failure, 'only an older checkpoint may be left');
    else if (checkpoint !== undefined) told.push(howToGoOn(training.task, checkpoint));
    else if (!training.trained) told.push('without --checkpoint nothing was kept');
    throw new Interrupted(told.join('; '), { cause: error });
  }
  const tokensPerSecond = trainer.stepsDone > stepsBefore ? speed() : 0;
  await writeModel();
  // Whatever fails from here on, the model is written.
  const problems: Error[] = [];
  const attempt = async <R>(act: () => Promise<R>) => {
    try {
      return await act();
    } catch (error) {
      problems.push(error as Error);
      return undefined;
    }
  };
  failure = await save();
  if (failure !== undefined) watcher.announce(`${failure}; the model is complete without it`);
  const test =
    testSplit &&
    (await attempt(async () => {
      try {
        const { quality } = await stoppable(training.unmasked(testSplit.measureInParts()), interrupted, evaluating);
        training.checkQuality(quality);
        return quality;
      } catch (error) {
        throw afterModel(error as Error, out, checkpoint && howToGoOn(training.task, checkpoint));
      }
    }));
  // The last epoch ended with an evaluation.
  const { kind, step, epoch, ...valid } = training.records.findLast((record) => record.kind === 'valid')!;
  const { method, compression, parameters } = takeInventory(model, measureFile(modelBytes!, modelSize));
  const { seed } = options;
  const result = {
    method,
    seed,
    compression,
    parameters,
    valid,
    ...(test && { test }),
    ...shares,
    tokensPerSecond,
    seconds: seconds(),
    out,
  };
  return { result, records: training.records, places, problems };
}

/** An error from the evaluation of the test split, which says so, and that the model is written. */
function afterModel(error: Error, out: string, howToGoOn: string | undefined): Error {
  const written = `the model is in ${out}`;
  if (error instanceof Interrupted) {
    const told = ['stopped in the evaluation of the test split', written, howToGoOn].filter(Boolean);
    return new Interrupted(told.join('; '), { cause: error });
  }
  if (error instanceof TrainingError) {
    return new TrainingError(`test: ${error.message}; ${written}`, { cause: error });
  }
  return error;
}

const howToGoOn = (task: string, checkpoint: string) =>
  `go on with: dopant train ${task} --resume ${quoted(checkpoint)}`;

/** Quotes an argument for a shell. */
const quoted = (text: string) => (/^[\w./:@%+=,-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);

/** Milliseconds to wait for threads to start. */
const START_WAIT = 10_000;

/** Creates a runtime and waits for its threads. If they cannot start, one thread does the work, and a line says why. */
async function startRuntime({ threads = 1 }: RunPlaces, watcher: RunWatcher): Promise<Runtime> {
  const runtime = new Runtime({ threads });
  const end = performance.now() + START_WAIT;
  while (!runtime.ready && performance.now() < end && !watcher.interrupted()) {
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  if (!runtime.ready)
    watcher.announce('threads: the others have not started; one thread does all the work until they do');
  else if (runtime.threads < threads) watcher.announce(`threads: ${whyNoThreads()}; one thread does all the work`);
  return runtime;
}

/** Describes the structure of the matrices that are compressed; those of one shape have the same. */
function describeMatrices({ model }: Training): string {
  const counts = new Map<string, number>();
  const plans = planNetwork(model.spec, model.recipe);
  for (const [name] of model.matrices()) {
    const words = describePlan(plans.get(name)!);
    counts.set(words, (counts.get(words) ?? 0) + 1);
  }
  return `${[...counts].map(([words, n]) => `${counted(n, 'matrix', 'matrices')} of ${words}${n > 1 ? ' each' : ''}`).join(', ')}`;
}

/**
 * Checks all outputs of a run before it starts. Only a run that was resumed from a checkpoint, in the folder `resumed`, may
 * overwrite it.
 */
async function checkPlaces(
  task: Inputs,
  source: RunSource,
  { out, records, report, checkpoint }: RunPlaces,
  resumed?: string,
): Promise<void> {
  const goesOn = checkpoint !== undefined && resumed !== undefined && (await isSame(checkpoint, resumed));
  if (checkpoint !== undefined && !goesOn && (await hasCheckpoint(checkpoint))) {
    throw invalid(
      '--checkpoint',
      checkpoint,
      `a folder without a checkpoint; --resume ${checkpoint} continues that run`,
    );
  }
  const checkpointFile = checkpoint === undefined ? undefined : join(checkpoint, CHECKPOINT_FILE);
  const outputs = named({ out, records, report, checkpoint: checkpointFile });
  const inputs = inputsOf(task, source);
  if (resumed !== undefined && !goesOn) inputs.push({ option: '--resume', path: join(resumed, CHECKPOINT_FILE) });
  await checkOutputs(outputs, inputs);
}

/** The part of a task that knows the files of its data. */
interface Inputs {
  inputs(data: string): Input[];
}

/** All files that a run reads. */
export function inputsOf({ inputs }: Inputs, { data, from, teacher }: RunSource): Input[] {
  return [...inputs(data), ...named({ from, teacher })];
}

/** Files, with the options that name them. */
function named(paths: Record<string, string | undefined>): Output[] {
  return Object.entries(paths).flatMap(([name, path]) => (path === undefined ? [] : [{ option: `--${name}`, path }]));
}

async function isSame(a: string, b: string): Promise<boolean> {
  const [real, other] = await Promise.all([a, b].map((path) => realpath(path).catch(() => path)));
  return real === other;
}

const find = (path: string) => stat(path).catch(() => undefined);
