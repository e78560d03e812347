import { InputError, invalid } from '../errors.js';
import { writeFileAtomically } from '../io/files.js';
import type { Distillation } from '../nn/loss.js';
import { BLOCK_SIZES } from '../operators/csr.js';
import type { KronShape, Method } from '../operators/methods.js';
import { defaultIntentOptions, type IntentOptions } from '../tasks/intent.js';
import { defaultOptions, type LanguageModelOptions } from '../tasks/language-model.js';
import type { Training, TrainingOptions } from '../tasks/training.js';
import type { Level, Rule } from '../text/tokens.js';
import type { AnnealingOptions } from '../train/annealing.js';
import type { OptimizerName } from '../train/optimizers.js';
import type { Schedule } from '../train/schedule.js';
import { claim, holderOf } from './experiment/claim.js';
import { type IntentSource, intentTask } from './intents.js';
import { languageModelTask, type TextSource } from './language-model.js';
import { loadModel } from './model.js';
import { naming } from './outputs.js';
import { describeStep, formatDuration, type Progress, startProgress } from './progress.js';
import { renderReport } from './report.js';
import { StopSignals } from './stopping.js';
import { resultTable } from './table.js';
import {
  type Outcome,
  type RunPlaces,
  type RunSource,
  resumeTraining,
  runTraining,
  type StepReport,
  type Task,
} from './training.js';

/** The options of every task as Commander gives them; undefined where they were not given. */
export interface TrainArguments {
  data?: string;
  hidden?: number;
  layers?: number;
  method?: string;
  compression?: number;
  cmr?: number;
  optimizer?: string;
  lr?: number;
  dropout?: number;
  batch?: number;
  epochs?: number;
  seed?: number;
  checkpoint?: string;
  resume?: string;
  out?: string;
  json?: boolean;
  kron?: string;
  block?: string;
  clip?: number;
  schedule?: string;
  decay?: string;
  anneal?: string;
  pruneEvery?: number;
  threshold?: string;
  finalSparsity?: number;
  freeRate?: string;
  structureShare?: number;
  cmrRates?: string;
  cmrHold?: boolean;
  cmrUntil?: number;
  alternate?: number;
  from?: string;
  distill?: string;
  teacher?: string;
  checkpointEvery?: number;
  threads?: number;
  records?: string;
  report?: string;
  vocab?: number;
}

interface LanguageModelArguments extends TrainArguments {
  level?: Level;
  rule?: Rule;
  bptt?: number;
  maxTokens?: number;
}

interface IntentArguments extends TrainArguments {
  embedding?: number;
}

type GivenOn = { getOptionValueSource(name: string): string | undefined };

/** What a run of a task is started with. */
interface Start<S extends RunSource, Options extends TrainingOptions> {
  source: S;
  options: Options;
}

/** Throws InputError where the options make no run. */
export function startLm(given: LanguageModelArguments): Start<TextSource, LanguageModelOptions> {
  const { level = 'word', rule, vocab, maxTokens, bptt } = given;
  if (rule && level === 'char') throw invalid('--rule', rule, 'it with --level word: characters need no rule');
  const defaults = defaultOptions(level, optimizerOf(given));
  return {
    source: {
      ...sourceOf(given, languageModelTask.wanted),
      level,
      ...(rule && { rule }),
      ...(vocab && { vocab }),
      ...(maxTokens && { maxTokens }),
    },
    options: { ...trainingOptions(given, defaults), bptt: bptt ?? defaults.bptt },
  };
}

export function startIntent(given: IntentArguments): Start<IntentSource, IntentOptions> {
  const { vocab, embedding } = given;
  const defaults = defaultIntentOptions(optimizerOf(given));
  return {
    source: { ...sourceOf(given, intentTask.wanted), ...(vocab && { vocab }) },
    options: { ...trainingOptions(given, defaults), embedding: embedding ?? defaults.embedding },
  };
}

function sourceOf({ data, from, teacher, distill }: TrainArguments, wanted: string): RunSource {
  if (data === undefined) throw new InputError(`--data is missing: ${wanted}; or --resume DIR to go on with a run`);
  if (teacher !== undefined && distill === undefined) {
    throw new InputError('--teacher goes with --distill, which says how much it counts');
  }
  const taught = distill === undefined ? undefined : (teacher ?? from);
  if (distill !== undefined && taught === undefined) {
    throw new InputError('--distill wants a teacher: --teacher MODEL, or --from MODEL to start from it too');
  }
  return { data, ...(from !== undefined && { from }), ...(taught !== undefined && { teacher: taught }) };
}

export function trainLm(given: LanguageModelArguments, command: GivenOn): Promise<void> {
  return train(languageModelTask, given, command, startLm);
}

export function trainIntent(given: IntentArguments, command: GivenOn): Promise<void> {
  return train(intentTask, given, command, startIntent);
}

/** Those that may stand beside --resume: the others are the checkpoint's. */
const FREE_WHEN_RESUMING = [
  'resume',
  'data',
  'teacher',
  'checkpoint',
  'threads',
  'out',
  'json',
  'checkpointEvery',
  'records',
  'report',
];

async function train<S extends RunSource, D, T extends Training, E, Given extends TrainArguments>(
  task: Task<S, D, T, E>,
  given: Given,
  command: GivenOn,
  start: (given: Given) => Start<S, T['options']>,
): Promise<void> {
  const { resume, checkpoint, checkpointEvery = 60, threads = 1 } = given;
  const watcher = new TerminalWatcher();
  let release = async () => {};
  try {
    let outcome: Outcome;
    if (resume !== undefined) {
      const other = Object.keys(given).find(
        (name) => !FREE_WHEN_RESUMING.includes(name) && command.getOptionValueSource(name) === 'cli',
      );
      if (other) {
        const flag = other.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
        throw new InputError(
          `--${flag} does not go with --resume: the run goes on with the settings it was started with`,
        );
      }
      const folder = checkpoint ?? resume;
      release = await claimFolder('--checkpoint', folder);
      const places = (run: Pick<RunPlaces, 'out' | 'records' | 'report'>) => ({
        checkpoint: folder,
        checkpointEvery,
        threads,
        out: given.out ?? run.out,
        records: given.records ?? run.records,
        report: given.report ?? run.report,
      });
      const { data, teacher } = given;
      outcome = await resumeTraining(task, resume, { data, teacher }, places, watcher);
    } else {
      const { source, options } = start(given.from === undefined ? given : await likeModel(given, given.from));
      const { out = 'model.safetensors', records, report } = given;
      const places = { checkpoint, checkpointEvery, threads, out, records, report };
      if (checkpoint !== undefined) release = await claimFolder('--checkpoint', checkpoint);
      outcome = await runTraining(task, source, options, places, watcher);
    }
    watcher.stop();
    const { result, records, places, problems } = outcome;
    const table = resultTable([result]);
    const write = async (path: string | undefined, content: () => string) => {
      try {
        if (path !== undefined) await writeFileAtomically(path, content());
      } catch (error) {
        problems.push(error as Error);
      }
    };
    await write(places.records, () => `${JSON.stringify(records)}\n`);
    await write(places.report, () => {
      const runs = [{ name: result.method, records }];
      const subtitle = `seed ${result.seed}, ${formatDuration(Math.round(result.seconds))}`;
      return renderReport({ title: result.out, subtitle, table, samples: [], runs });
    });
    process.stdout.write(
      given.json
        ? `${JSON.stringify(result)}\n`
        : `${table.columns.map((column, i) => `${column}: ${table.rows[0][i]}`).join('\n')}\nwritten to ${result.out}\n`,
    );
    if (problems.length) throw new AggregateError(problems);
  } finally {
    watcher.stop();
    await release();
    watcher.signals.close();
  }
}

/** Keeps other runs out of a folder, which `option` names, until the function that it returns is called. */
export async function claimFolder(option: string, folder: string): Promise<() => Promise<void>> {
  const held = await naming(option, claim(folder));
  if (held) return held.release;
  throw invalid(option, folder, `a folder that no run works in; ${await holderOf(folder)} does`);
}

/** Shows progress on the terminal, and listens for signals. */
class TerminalWatcher {
  readonly signals = new StopSignals();
  readonly interrupted = this.signals.interrupted;
  private progress: Progress | undefined;

  announce(text: string): void {
    process.stderr.write(`${text}\n`);
  }

  step(now: StepReport): void {
    this.show(now.done, now.total, describeStep(now));
  }

  evaluating(share: number, done: number, total: number): void {
    this.show(done, total, `evaluating, ${Math.floor(100 * share)}%`);
  }

  private show(done: number, total: number, text: string): void {
    this.progress ??= startProgress('training', total);
    this.progress.update(done, text);
  }

  stop(): void {
    this.progress?.stop();
  }
}

/** The options with the sizes of a trained model, which they must not contradict. */
async function likeModel<A extends TrainArguments>(given: A, from: string): Promise<A> {
  const { config, vocabulary } = await loadModel(from);
  const { hidden, layers } = config;
  const sizes: Record<string, number | string> = { hidden, layers, vocab: vocabulary.size, level: vocabulary.level };
  if (vocabulary.level === 'word') sizes.rule = vocabulary.rule;
  if ('embedding' in config) sizes.embedding = config.embedding;
  for (const [name, there] of Object.entries(sizes)) {
    const here = given[name as keyof A];
    if (here !== undefined && here !== there) {
      throw new InputError(`--${name}: ${here} was given, but the model of --from has ${there}; leave it out`);
    }
  }
  return { ...given, ...sizes };
}

function distillationOf(text: string): Distillation {
  const [weight, temperature] = text.includes(',') ? pair('distill', text) : [Number(text), 1];
  if (text.trim() === '' || Number.isNaN(weight)) {
    throw new InputError(`--distill: '${text}' was given; a weight is wanted, or a weight and a temperature, as 0.5,2`);
  }
  return { weight, temperature };
}

const optimizerOf = ({ optimizer = 'adam' }: TrainArguments) => optimizer as OptimizerName;

function trainingOptions<Options extends TrainingOptions>(given: TrainArguments, defaults: Options): Options {
  const [start, end] = given.anneal ? pair('anneal', given.anneal) : [defaults.annealing.start, defaults.annealing.end];
  const annealing: AnnealingOptions = {
    start,
    end,
    every: given.pruneEvery ?? defaults.annealing.every,
    threshold: (given.threshold ?? defaults.annealing.threshold) as AnnealingOptions['threshold'],
    ...(given.finalSparsity !== undefined && { finalSparsity: given.finalSparsity }),
  };
  const cmr = given.cmr ?? 0;
  if (given.cmr !== undefined && given.cmrRates)
    throw new InputError('--cmr and --cmr-rates say the same thing; give one');
  const [structure, dopants] = given.cmrRates ? pair('cmr-rates', given.cmrRates) : [cmr, cmr];
  const [scale, power] = given.freeRate
    ? pair('free-rate', given.freeRate)
    : [defaults.freeRate.scale, defaults.freeRate.power];
  return {
    ...defaults,
    hidden: given.hidden ?? defaults.hidden,
    layers: given.layers ?? defaults.layers,
    method: (given.method ?? defaults.method) as Method,
    compression: given.compression ?? defaults.compression,
    learningRate: given.lr ?? defaults.learningRate,
    dropout: given.dropout ?? defaults.dropout,
    batch: given.batch ?? defaults.batch,
    epochs: given.epochs ?? defaults.epochs,
    seed: given.seed ?? defaults.seed,
    clip: given.clip ?? defaults.clip,
    alternate: given.alternate ?? defaults.alternate,
    schedule: scheduleOf(given, defaults.schedule),
    annealing,
    freeRate: { scale, power },
    structureShare: given.structureShare ?? defaults.structureShare,
    coMatrixDropout: { structure, dopants, hold: given.cmrHold ?? false, until: given.cmrUntil ?? 1 },
    ...(given.distill !== undefined && { distillation: distillationOf(given.distill) }),
    ...(given.kron && { kron: kronShape(given.kron) }),
    ...(given.block !== undefined && { block: BLOCK_SIZES.find((block) => String(block) === given.block)! }),
  };
}

function scheduleOf({ schedule, decay }: TrainArguments, standard: Schedule): Schedule {
  const kind = (schedule ?? (decay ? 'decay' : standard.kind)) as Schedule['kind'];
  if (kind !== 'decay') {
    if (decay) throw new InputError(`--decay goes with --schedule decay, not ${kind}`);
    return { kind };
  }
  if (decay) {
    const [after, by] = pair('decay', decay);
    return { kind, after, by };
  }
  return standard.kind === 'decay' ? standard : { kind, after: 4, by: 1.5 };
}

function pair(flag: string, text: string): [number, number] {
  const numbers = text.split(',').map((part) => (part.trim() === '' ? Number.NaN : Number(part)));
  if (numbers.length !== 2 || numbers.some(Number.isNaN)) {
    throw new InputError(`--${flag}: '${text}' was given; two numbers with a comma between are wanted`);
  }
  return numbers as [number, number];
}

function kronShape(text: string): KronShape {
  const factors = text.split(',').map((shape) => /^\s*(\d+)x(\d+)\s*$/.exec(shape)?.slice(1).map(Number));
  if (factors.length < 2 || factors.includes(undefined)) {
    throw new InputError(`--kron: '${text}' was given; two shapes or more are wanted, such as 40x10,20x20`);
  }
  return factors.flatMap((factor) => factor ?? []);
}
