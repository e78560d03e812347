import { realpath, stat } from 'node:fs/promises';
import { isAbsolute, join, relative, resolve } from 'node:path';
import { InputError, invalid, malformed, TrainingError } from '../errors.js';
import { decodeCheckpoint, encodeCheckpoint } from '../io/checkpoint.js';
import { readFileBytes, writeFileAtomically } from '../io/files.js';
import { type Inventory, takeInventory } from '../io/inventory.js';
import { encodeModel } from '../io/model-file.js';
import { asObject } from '../io/model-header.js';
import { type Model, matrixPlans } from '../nn/model.js';
import { describePlan } from '../operators/budget.js';
import type { Quality, Training, TrainingClass, ValidQuality } from '../tasks/training.js';
import type { Vocabulary } from '../text/vocabulary.js';
import type { TrainRecord } from '../train/records.js';
import { Runtime } from '../wasm/runtime.js';
import { whyNoThreads } from '../wasm/threads.js';
import type { Work } from '../work.js';
import { loadHashedModel, loadModel, naming } from './model.js';
import { checkOutputs, type Input, type Output } from './outputs.js';
import { Interrupted, pause, stoppable } from './stopping.js';
import { describeShares, sharesOf, type Unknown, type UnknownShares } from './unknown.js';

/** What a run reads, besides the options of the training itself. */
export interface RunSource {
  data: string;
  /** Model files: what the weights start from, and whom the run learns from. */
  from?: string;
  teacher?: string;
  /** Of the teacher's file, once it has been read. */
  teacherHash?: string;
}

/** What the command line must know of a task. S: what tells the data; D: the data as read; E: as trained on. */
export interface Task<S extends RunSource, D, T extends Training, E> {
  training: TrainingClass<T['options'], E, T>;
  /** What --data must name, in words. */
  wanted: string;
  /** Whether what a checkpoint holds, whose `data` is sound, tells the data. */
  isSource(source: Record<string, unknown>): boolean;
  read(source: S): Promise<D>;
  /** The files that read() reads, or the folders that it looks for them in. */
  inputs(data: string): Input[];
  vocabulary(data: D, source: S): Vocabulary;
  encode(data: D, source: S, vocabulary: Vocabulary): E;
  /** What it is trained on, in words. */
  describe(training: T, data: D): string;
  /** What the model cannot know of the data that it is trained on. */
  unknown(training: T): { train: Unknown; valid: Unknown };
  /** The test split, if there is one. Throws InputError, before hours of training, where nothing can be measured on it. */
  test(training: T, data: D): TestSplit | undefined;
}

/** A split that is measured when training is over. */
export interface TestSplit {
  unknown: Unknown;
  measure(): Work<Quality>;
}

export interface RunPlaces {
  /** Folder for checkpoints, which exists and belongs to this run; none are written without it. */
  checkpoint?: string;
  /** Seconds between two checkpoints. */
  checkpointEvery: number;
  out: string;
  /** Files for the training records and for a page of their curves; not written without them. */
  records?: string;
  report?: string;
  /** That share the work; their number changes no bit of the result. */
  threads?: number;
  /** Leave the test text alone: this run only decides something. */
  withoutTest?: boolean;
}

export interface RunWatcher {
  /** What is about to be trained, in words. */
  announce(text: string): void;
  step(now: StepReport): void;
  /** How much of an evaluation is over, from 0 to 1, after so many of all steps. */
  evaluating(share: number, done: number, total: number): void;
  /** Asked between the parts of all work: whether to write a checkpoint and stop. */
  readonly interrupted: () => boolean;
}

export interface StepReport {
  done: number;
  total: number;
  tokensPerSecond: number;
  loss: number;
  sparsity: number;
}

/** What `train` prints with --json. */
export interface TrainResult extends UnknownShares {
  method: string;
  seed: number;
  compression: Inventory['compression'];
  parameters: Inventory['parameters'];
  valid: ValidQuality;
  /** Left out where the data have no test split, or it was not measured. */
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
  /** What failed after the model was written. */
  problems: Error[];
}

/** Starts a run and sees it through: train, evaluate, write the model. */
export async function runTraining<S extends RunSource, D, T extends Training, E>(
  task: Task<S, D, T, E>,
  source: S,
  options: T['options'],
  places: RunPlaces,
  watcher: RunWatcher,
): Promise<Outcome> {
  const ready = () => pause(watcher.interrupted, 'stopped before the first step; nothing was written');
  await checkPlaces(task, source, places);
  const data = await task.read(source);
  await ready();
  const runtime = await startRuntime(places, watcher);
  const from = source.from === undefined ? undefined : await loadModel(source.from, runtime);
  const { model: teacher, hash: teacherHash } = await loadTeacher(source, runtime);
  const vocabulary = (from ?? teacher)?.vocabulary ?? task.vocabulary(data, source);
  await ready();
  const encoded = task.encode(data, source, vocabulary);
  await ready();
  const training = task.training.create(runtime, vocabulary, options, encoded, { from, teacher });
  return finish(task, training, data, { ...source, teacherHash }, places, watcher);
}

/** The teacher of a run, if it has one. */
async function loadTeacher(
  { teacher, teacherHash }: RunSource,
  runtime: Runtime,
): Promise<{ model?: Model; hash?: string }> {
  if (teacher === undefined) return {};
  const loaded = await loadHashedModel(teacher, runtime);
  if (teacherHash !== undefined && loaded.hash !== teacherHash) {
    throw new InputError(`teacher: ${teacher} is not the file any more that the run began with`);
  }
  return loaded;
}

export async function hasCheckpoint(folder: string): Promise<boolean> {
  return (await find(join(folder, CHECKPOINT_FILE))) !== undefined;
}

/** What a checkpoint says of its run. Paths in the file are absolute. */
type SavedRun<S extends RunSource> = S & Pick<RunPlaces, 'out' | 'records' | 'report'>;

/**
 * The same for a run that the checkpoint in a folder holds. `moved` says where its data and its teacher are now; `places`
 * may depend on where its results were to go.
 */
export async function resumeTraining<S extends RunSource, D, T extends Training, E>(
  task: Task<S, D, T, E>,
  folder: string,
  moved: Pick<Partial<RunSource>, 'data' | 'teacher'>,
  places: (run: SavedRun<S>) => RunPlaces,
  watcher: RunWatcher,
): Promise<Outcome> {
  const { task: name } = task.training;
  const ready = () => pause(watcher.interrupted, `stopped before the next step; ${howToGoOn(name, folder)}`);
  const path = join(folder, CHECKPOINT_FILE);
  const bytes = await readFileBytes(path);
  const { run, vocabulary, resume } = naming(path, () => {
    const checkpoint = decodeCheckpoint(bytes, task.training);
    return { ...checkpoint, run: checkRun(task, checkpoint.run) };
  });
  if (moved.teacher !== undefined && run.teacher === undefined) {
    throw invalid('--teacher', moved.teacher, 'no teacher, since the run began without one');
  }
  const { data: at = run.data, teacher: teacherAt = run.teacher } = moved;
  const source: S = { ...run, data: at, ...(teacherAt !== undefined && { teacher: teacherAt }) };
  const chosen = places(run);
  await checkPlaces(task, source, chosen, folder);
  const data = await task.read(source).catch((cause) => {
    if (moved.data !== undefined || !(cause instanceof InputError)) throw cause;
    throw new InputError(`${cause.message}; --data says where the data are now`, { cause });
  });
  await ready();
  const encoded = task.encode(data, source, vocabulary);
  await ready();
  const runtime = await startRuntime(chosen, watcher);
  const { model: teacher } = await loadTeacher(source, runtime);
  const training = naming(path, () => resume(runtime, encoded, teacher));
  return finish(task, training, data, source, chosen, watcher);
}

/** The fields of a saved run that are paths. */
const PATHS = ['data', 'from', 'teacher', 'out', 'records', 'report'] as const;

/** A run as a checkpoint holds it, so that it can be resumed from any folder. */
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
      throw malformed(`run.${field}`, found, 'a name');
    }
  }
  if (!task.isSource(run)) throw malformed('run', run, 'what dopant train writes there');
  return mapPaths(task, run as unknown as SavedRun<S>, shorten);
}

/** Changes the fields of a run that are paths: data may be something else, if it names no file. */
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

/** A path in the current folder without that; others as they are. */
function shorten(path: string): string {
  const short = relative('', path);
  return short === '' || short.startsWith('..') || isAbsolute(short) ? path : short;
}

async function finish<S extends RunSource, D, T extends Training, E>(
  task: Task<S, D, T, E>,
  training: T,
  data: D,
  source: S,
  places: RunPlaces,
  watcher: RunWatcher,
): Promise<Outcome> {
  const { model, options, totalSteps, tokensPerStep, trainer } = training;
  const { out, checkpoint, checkpointEvery, withoutTest } = places;
  const { interrupted } = watcher;
  const testSplit = withoutTest ? undefined : task.test(training, data);
  const shares = sharesOf({ ...task.unknown(training), ...(testSplit && { test: testSplit.unknown }) });
  // Returns why there is no checkpoint: no reason to stop, since the disk may have room later, and that of --out has now.
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
  const writeModel = async () => {
    training.checkFinite();
    try {
      await writeFileAtomically(out, encodeModel(model));
    } catch (error) {
      // What can be kept is kept.
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
      watcher.announce(`memory: ${megabytes} MB from start to end${shared}`);
    }
    start = performance.now();
    while (!training.done) {
      if (training.evaluationDue) {
        await stoppable(training.evaluateInParts(), interrupted, evaluating);
      } else {
        const loss = await stoppable(training.stepInParts(), interrupted);
        smooth = smooth === undefined ? loss : 0.95 * smooth + 0.05 * loss;
        const { sparsity, stepsDone: done } = trainer;
        watcher.step({ done, total: totalSteps, tokensPerSecond: speed(), loss: smooth, sparsity });
      }
      // At the end of an epoch, only the evaluation shows whether the weights are worth keeping.
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
  } catch (error) {
    if (!(error instanceof Interrupted)) throw error;
    const told = [`stopped at step ${trainer.stepsDone} of ${totalSteps}`];
    if (training.trained) {
      await writeModel();
      told.push(`the model is in ${out}`);
    }
    failure = await save();
    if (failure !== undefined) told.push(failure, 'at most an older checkpoint is left');
    else if (checkpoint !== undefined) told.push(howToGoOn(training.task, checkpoint));
    else if (!training.trained) told.push('without --checkpoint nothing was kept');
    throw new Interrupted(told.join('; '), { cause: error });
  }
  const tokensPerSecond = trainer.stepsDone > stepsBefore ? speed() : 0;
  await writeModel();
  // Whatever fails from here on, the model is there.
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
    testSplit && (await attempt(() => measured(() => stoppable(testSplit.measure(), interrupted, evaluating), out)));
  // The last epoch ended with the validation data.
  const { kind, step, epoch, ...valid } = training.records.findLast((record) => record.kind === 'valid')!;
  const { method, compression, parameters } = takeInventory(model);
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

/** The test split's quality. Errors say what they are about, and that the model is written. */
async function measured(measure: () => Promise<Quality>, out: string): Promise<Quality> {
  try {
    return await measure();
  } catch (error) {
    const told = { cause: error };
    if (error instanceof Interrupted) {
      throw new Interrupted(`stopped in the evaluation of the test split; the model is in ${out}`, told);
    }
    if (error instanceof TrainingError) {
      throw new TrainingError(`test: ${error.message}; the model is in ${out}`, told);
    }
    throw error;
  }
}

const howToGoOn = (task: string, checkpoint: string) =>
  `go on with: dopant train ${task} --resume ${quoted(checkpoint)}`;

/** As a shell wants an argument. */
const quoted = (text: string) => (/^[\w./:@%+=,-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);

/** Milliseconds after which a run begins without the threads that have not started. */
const START_WAIT = 10_000;

/** A runtime whose threads have started; where they cannot, one thread works, and the announcement says why. */
async function startRuntime({ threads = 1 }: RunPlaces, watcher: RunWatcher): Promise<Runtime> {
  const runtime = new Runtime({ threads });
  const end = performance.now() + START_WAIT;
  while (!runtime.ready && performance.now() < end && !watcher.interrupted()) {
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  if (!runtime.ready) watcher.announce('threads: the others have not started; one does all the work until they do');
  else if (runtime.threads < threads) watcher.announce(`threads: ${whyNoThreads()}; one does all the work`);
  return runtime;
}

/** How the LSTM's matrices are made, in words; those of one shape are made alike. */
function describeMatrices({ model: { architecture }, options }: Training): string {
  const counts = new Map<string, number>();
  for (const plan of matrixPlans(options, architecture)) {
    const words = describePlan(plan);
    counts.set(words, (counts.get(words) ?? 0) + 1);
  }
  return `${[...counts].map(([words, n]) => `${n} LSTM matrices of ${words} each`).join(', ')}`;
}

/** A checkpoint is written over only by the run that it was taken up for, that in the folder `resumed`. */
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

/** What a task reads of what --data names. */
interface Inputs {
  inputs(data: string): Input[];
}

/** What a run reads. */
export function inputsOf({ inputs }: Inputs, { data, from, teacher }: RunSource): Input[] {
  return [...inputs(data), ...named({ from, teacher })];
}

/** Files with the options that name them. */
function named(paths: Record<string, string | undefined>): Output[] {
  return Object.entries(paths).flatMap(([name, path]) => (path === undefined ? [] : [{ option: `--${name}`, path }]));
}

async function isSame(a: string, b: string): Promise<boolean> {
  const [real, other] = await Promise.all([a, b].map((path) => realpath(path).catch(() => path)));
  return real === other;
}

const find = (path: string) => stat(path).catch(() => undefined);
