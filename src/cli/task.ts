import type { Command, Option } from 'commander';
import type { Model as PackedModel } from '../infer/index.js';
import type { ByteSource } from '../io/bytes.js';
import type { Model } from '../nn/model.js';
import type { Quality, Training, TrainingClass } from '../tasks/training.js';
import type { Vocabulary } from '../text/vocabulary.js';
import type { Runtime } from '../wasm/runtime.js';
import type { Work } from '../work.js';
import type { Input } from './outputs.js';
import type { StepTimes } from './timing.js';
import type { DefaultTexts, TrainArguments } from './train-options.js';
import type { Unknown } from './unknown.js';

/** The files that a run reads. */
export interface RunSource {
  data: string;
  /** Model files: the initial weights, and the teacher. */
  from?: string;
  teacher?: string;
  /** SHA-256 of the teacher's file, once it has been read. */
  teacherHash?: string;
}

/** What a run starts with. */
export interface Start<S extends RunSource, Options> {
  source: S;
  options: Options;
}

export type SplitName = 'valid' | 'test';

/** The measurement of a model on a split of data. */
export interface Measurement {
  /** What the model cannot know of the split. */
  unknown: Unknown;
  /** How much there is to measure, such as '12 texts'. */
  size: string;
  measureInParts(): Work<Measured>;
  /** Measures only what models are compared by, where the rest takes long; all of it unless there is one. */
  compareInParts?(): Work<Quality>;
}

export interface Measured {
  /** As records and `train` have it. */
  quality: Quality;
  /** As `eval` prints it: for machines, beside the split, and for people. */
  json: Record<string, unknown>;
  text: string;
}

/** The options of `predict`. */
export interface PredictArguments {
  threshold?: number;
  json?: boolean;
}

/** How `predict` asks a model. */
export interface Predictor {
  /** What it reads, in words, such as 'a sentence'. */
  reads: string;
  /** Prints the answer of a model. Throws InputError for an input or options that it cannot use. */
  predict(model: PackedModel, input: string, given: PredictArguments): Promise<void> | void;
}

/**
 * A task as the command line sees it, which has no other knowledge of tasks: a file with one of these, and its place in
 * the registry, make `train`, `eval`, `predict`, `inspect` and `experiment` work for it.
 *
 * S: where its data are; D: the data as read; E: the data as trained on; Schema: what inputs and outputs stand for.
 */
export interface Task<S extends RunSource, D, T extends Training, E, Schema> {
  /** Its `task` is the name of the task. */
  training: TrainingClass<T['options'], E, T, Schema>;
  /** What `dopant train NAME` does, in words. */
  about: string;
  /** What --data must name, for messages. */
  wanted: string;
  /** The options of `train` besides those of every task, --data first. */
  options(): Option[];
  /** The defaults of the options of every task, for --help. */
  defaults: DefaultTexts;
  /** Commands for --help, one a line. */
  examples: readonly string[];
  /** What a run starts with. Throws InputError for impossible options. */
  start(given: TrainArguments): Start<S, T['options']>;
  /** Whether a saved source, whose `data` is a text, has fields of the right types. */
  isSource(source: Record<string, unknown>): boolean;
  /** Reads all splits. Throws InputError, naming the path that cannot be used, and why. */
  read(source: S): Promise<D>;
  /** The same as a model reads them. */
  readFor(model: T['model'], data: string): Promise<D>;
  /** The files that read() reads, or the folders that it looks for them in. */
  inputs(data: string): Input[];
  /** What inputs and outputs stand for: as in the model that the training starts from, if there is one. */
  schema(data: D, source: S, like?: Model): Schema;
  /** The data as a training takes them. */
  encode(data: D, source: S, schema: Schema): E;
  /** Describes what the model is trained on. */
  describe(training: T, data: D): string;
  /** Describes a model, such as 'intent model, 7 intents'. */
  describeModel(model: T['model']): string;
  /** The shares of tokens and labels that the model does not know. */
  unknown(training: T): { train: Unknown; valid: Unknown };
  /**
   * How to measure a model on a split; undefined where the data have no such split. Throws InputError, before hours of
   * training, if nothing can be measured on it.
   */
  measurement(model: T['model'], data: D, split: SplitName): Measurement | undefined;
  /** What the test split is, for messages on data without one, such as 'folder test'. */
  testName: string;
  /** The model of a file. Throws FileFormatError saying what is wrong. */
  decode(runtime: Runtime, bytes: ByteSource): T['model'];
  /** Times the model in dopant/infer, in microseconds. */
  time(model: PackedModel): { step?: StepTimes; sentence?: number };
  /** Without one, `predict` refuses its models. */
  predictor?: Predictor;
  /** Commands of this task alone. */
  commands?(): Command[];
}

/** Any task: what the commands work with. */
export type AnyTask = Task<RunSource, unknown, Training, unknown, unknown>;

/** The vocabulary of a model of text. */
export const vocabularyOf = (model: Model | undefined) =>
  (model as { vocabulary?: Vocabulary } | undefined)?.vocabulary;
