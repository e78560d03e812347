import { mkdir, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { FileFormatError, InputError } from '../errors.js';
import { type Checkpoint, decodeCheckpoint, encodeCheckpoint } from '../io/checkpoint.js';
import { readFileBytes, writeFileAtomically } from '../io/files.js';
import { type Inventory, takeInventory } from '../io/inventory.js';
import { encodeLanguageModel } from '../io/model-file.js';
import { asObject } from '../io/model-header.js';
import { type LanguageModel, matrixPlan } from '../nn/language-model.js';
import { describePlan } from '../operators/budget.js';
import { type LanguageModelOptions, LanguageModelTraining } from '../tasks/language-model.js';
import { type Level, sampleTexts, Vocabulary } from '../tasks/text.js';
import type { TrainRecord } from '../train/records.js';
import { Runtime } from '../wasm/runtime.js';
import { type Corpus, readCorpus } from './corpus.js';
import { loadModel, loadModelHashed, naming } from './model.js';

/** What a run reads, besides the options of the training itself. */
export interface RunSource {
  data: string;
  level: Level;
  vocab?: number;
  maxTokens?: number;
  /** Model files: what the weights start from, and whom the run learns from. */
  from?: string;
  teacher?: string;
  /** Of the teacher's file, once it has been read. */
  teacherHash?: string;
}

export interface RunPlaces {
  /** Folder for checkpoints; none are written without it. */
  checkpoint?: string;
  /** Seconds between two checkpoints. */
  checkpointEvery: number;
  out: string;
}

export interface RunWatcher {
  /** What is about to be trained, in words. */
  announce(text: string): void;
  step(now: StepReport): void;
  /** How much of an evaluation is over, from 0 to 1. */
  evaluating(share: number): void;
  /** Asked between steps: whether to write a checkpoint and stop. */
  interrupted(): boolean;
}

export interface StepReport {
  done: number;
  total: number;
  tokensPerSecond: number;
  loss: number;
  sparsity: number;
}

/** What `train` prints with --json. */
export interface TrainResult {
  method: string;
  seed: number;
  compression: Inventory['compression'];
  parameters: Inventory['parameters'];
  valid: { perplexity: number };
  test: { perplexity: number };
  tokensPerSecond: number;
  seconds: number;
  out: string;
}

export class Interrupted extends Error {
  override name = 'Interrupted';
}

const CHECKPOINT_FILE = 'checkpoint.safetensors';

/** Starts a run, or takes one up from `resume`, and sees it through: train, evaluate, write the model. */
export async function runTraining(
  source: RunSource,
  options: LanguageModelOptions,
  places: RunPlaces,
  watcher: RunWatcher,
): Promise<{ result: TrainResult; records: TrainRecord[] }> {
  await checkPlaces(places);
  const corpus = await readCorpus(source.data);
  const texts = trainingTexts(corpus, source);
  const runtime = new Runtime();
  const from = source.from === undefined ? undefined : await loadModel(source.from, runtime);
  const { model: teacher, hash: teacherHash } = await loadTeacher(source, runtime);
  const vocabulary = (from ?? teacher)?.vocabulary ?? Vocabulary.build(texts, source.level, source.vocab);
  const tokens = encode(corpus, texts, vocabulary, source);
  const training = LanguageModelTraining.create(runtime, vocabulary, options, tokens, { from, teacher });
  return finish(training, corpus, { ...source, teacherHash }, places, watcher);
}

/** The teacher of a run, if it has one. */
async function loadTeacher(
  { teacher, teacherHash }: RunSource,
  runtime: Runtime,
): Promise<{ model?: LanguageModel; hash?: string }> {
  if (teacher === undefined) return {};
  const loaded = await loadModelHashed(teacher, runtime);
  if (teacherHash !== undefined && loaded.hash !== teacherHash) {
    throw new InputError(`teacher: ${teacher} is not the file any more that the run began with`);
  }
  return loaded;
}

/** The checkpoint in a folder; errors name the file. */
export async function readCheckpoint(folder: string): Promise<RunCheckpoint> {
  const path = join(folder, CHECKPOINT_FILE);
  const bytes = await readFileBytes(path);
  const { run, resume, ...rest } = naming(path, () => {
    const checkpoint = decodeCheckpoint(bytes);
    return { ...checkpoint, run: checkRun(checkpoint.run) };
  });
  return { ...rest, folder, run, resume: (...args) => naming(path, () => resume(...args)) };
}

interface RunCheckpoint extends Checkpoint {
  folder: string;
  run: RunSource & { out: string };
}

function checkRun(value: unknown): RunCheckpoint['run'] {
  const { data, level, vocab, maxTokens, out, from, teacher, teacherHash } = asObject(value, 'run');
  const text = (field: unknown) => typeof field === 'string' && field !== '';
  const whole = (field: unknown) => field === undefined || Number.isSafeInteger(field);
  const files = [from, teacher, teacherHash].every((field) => field === undefined || text(field));
  const levels = level === 'word' || level === 'char';
  if (text(data) && text(out) && levels && whole(vocab) && whole(maxTokens) && files) {
    return value as RunCheckpoint['run'];
  }
  throw new FileFormatError("'run' in the file's metadata is not what dopant train writes there");
}

/** The same for a run that a checkpoint holds. */
export async function resumeTraining(
  { folder, run, vocabulary, resume }: RunCheckpoint,
  places: RunPlaces,
  watcher: RunWatcher,
): Promise<{ result: TrainResult; records: TrainRecord[] }> {
  await checkPlaces(places, folder);
  const corpus = await readCorpus(run.data);
  const texts = trainingTexts(corpus, run);
  const runtime = new Runtime();
  const { model: teacher } = await loadTeacher(run, runtime);
  const training = resume(runtime, encode(corpus, texts, vocabulary, run), teacher);
  return finish(training, corpus, run, places, watcher);
}

function trainingTexts(corpus: Corpus, { level, maxTokens }: RunSource): string[] {
  return maxTokens === undefined ? corpus.train : sampleTexts(corpus.train, level, maxTokens);
}

/**
 * One stream of tokens from many texts, with a line break between: at word level it ends a sentence that has no end of
 * its own or is nothing.
 */
export function encodeTexts(texts: readonly string[], vocabulary: Vocabulary): Int32Array {
  return vocabulary.encode(texts.join('\n'));
}

function encode(corpus: Corpus, texts: readonly string[], vocabulary: Vocabulary, { maxTokens }: RunSource) {
  const train = encodeTexts(texts, vocabulary);
  return { train: train.slice(0, maxTokens), valid: encodeTexts(corpus.valid, vocabulary) };
}

async function finish(
  training: LanguageModelTraining,
  corpus: Corpus,
  source: RunSource,
  places: RunPlaces,
  watcher: RunWatcher,
): Promise<{ result: TrainResult; records: TrainRecord[] }> {
  const { model, options, totalSteps, tokensPerStep, trainer } = training;
  const { out, checkpoint, checkpointEvery } = places;
  const test = encodeTexts(corpus.test, model.vocabulary);
  if (test.length < 2) throw new InputError('the test text has no token to predict; it needs at least 2');
  training.onEvaluation = (share) => watcher.evaluating(share);
  const save = async () => {
    if (!checkpoint) return;
    training.checkFinite();
    await writeFileAtomically(join(checkpoint, CHECKPOINT_FILE), encodeCheckpoint(training, { ...source, out }));
  };
  if (checkpoint) await makeFolder(checkpoint);
  watcher.announce(
    `${corpus.name}: ${training.corpus.train.length} training tokens, vocabulary ${model.vocabulary.size}; ${2 * options.layers} LSTM matrices of ${describePlan(matrixPlan(options))} each`,
  );
  const start = performance.now();
  const seconds = () => (performance.now() - start) / 1000;
  const stepsBefore = trainer.stepsDone;
  const speed = () => ((trainer.stepsDone - stepsBefore) * tokensPerStep) / seconds();
  let saved = seconds();
  let smooth: number | undefined; // the loss, smoothed for show
  while (!training.done) {
    const loss = training.step();
    smooth = smooth === undefined ? loss : 0.95 * smooth + 0.05 * loss;
    const { sparsity, stepsDone: done } = trainer;
    watcher.step({ done, total: totalSteps, tokensPerSecond: speed(), loss: smooth, sparsity });
    if (seconds() - saved >= checkpointEvery) {
      await save();
      saved = seconds();
    }
    await new Promise(setImmediate); // lets a signal through
    if (watcher.interrupted() && !training.done) {
      await save();
      throw new Interrupted(
        checkpoint
          ? `stopped at step ${done} of ${totalSteps}; go on with: dopant train lm --resume ${checkpoint}`
          : `stopped at step ${done} of ${totalSteps}; without --checkpoint nothing was kept`,
      );
    }
  }
  training.checkFinite();
  await save();
  const tokensPerSecond = trainer.stepsDone > stepsBefore ? speed() : 0;
  // The last epoch ended with the validation text.
  const [last] = training.records.filter((record) => record.kind === 'valid').slice(-1);
  const perplexities = {
    valid: { perplexity: last.perplexity },
    test: { perplexity: training.perplexity(test) },
  };
  const { method, compression, parameters } = takeInventory(model);
  await writeFileAtomically(out, encodeLanguageModel(model));
  const { seed } = options;
  const result = { method, seed, compression, parameters, ...perplexities, tokensPerSecond, seconds: seconds(), out };
  return { result, records: training.records };
}

/** A checkpoint is written over only by the run that it was taken up for, that in the folder `resumed`. */
async function checkPlaces({ out, checkpoint }: RunPlaces, resumed?: string): Promise<void> {
  await checkOutput('out', out);
  if (!checkpoint || (resumed && resolve(checkpoint) === resolve(resumed))) return;
  if (await find(join(checkpoint, CHECKPOINT_FILE))) {
    throw new InputError(
      `checkpoint: ${checkpoint} already holds a checkpoint; go on with it by --resume ${checkpoint}, or name another folder`,
    );
  }
}

/** Says at once, not after hours, that a result cannot be written. */
export async function checkOutput(option: string, path: string): Promise<void> {
  const folder = dirname(path);
  if (!(await find(folder))?.isDirectory()) {
    throw new InputError(`${option}: there is no folder ${folder} to write ${path} into`);
  }
  if ((await find(path))?.isDirectory()) throw new InputError(`${option}: ${path} is a folder; a file is wanted`);
}

async function makeFolder(path: string): Promise<void> {
  await mkdir(path, { recursive: true }).catch((cause: Error) => {
    throw new InputError(`checkpoint: the folder ${path} cannot be made (${cause.message})`, { cause });
  });
}

const find = (path: string) => stat(path).catch(() => undefined);
