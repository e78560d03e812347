import { invalid } from '../errors.js';
import type { Distillation } from '../nn/loss.js';
import { BLOCK_SIZES } from '../operators/csr.js';
import type { KronShape, Method } from '../operators/methods.js';
import { defaultIntentOptions, type IntentOptions } from '../tasks/intent.js';
import { defaultOptions, type LanguageModelOptions } from '../tasks/language-model.js';
import type { TrainingOptions } from '../tasks/training.js';
import type { Level, Rule } from '../text/tokens.js';
import type { AnnealingOptions } from '../train/annealing.js';
import type { OptimizerName } from '../train/optimizers.js';
import type { Schedule } from '../train/schedule.js';
import { checkEffects, cmrRates } from './effects.js';
import { type IntentSource, intentTask } from './intents.js';
import { languageModelTask, type TextSource } from './language-model.js';
import { loadModel } from './model.js';
import { flagOf, number, numbers } from './parsers.js';
import type { RunSource } from './training.js';

// Turns the options of `dopant train` into the source and the settings of a run.

/** The options of every task as Commander passes them; undefined if not given. */
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

export interface LanguageModelArguments extends TrainArguments {
  level?: Level;
  rule?: Rule;
  bptt?: number;
  maxTokens?: number;
}

export interface IntentArguments extends TrainArguments {
  embedding?: number;
}

/** What a run of a task starts with. */
export interface Start<S extends RunSource, Options extends TrainingOptions> {
  source: S;
  options: Options;
}

/** Throws InputError for impossible options. */
export function startLm(given: LanguageModelArguments): Start<TextSource, LanguageModelOptions> {
  const { level = 'word', rule, vocab, maxTokens, bptt } = given;
  if (rule && level === 'char') throw invalid('--rule', rule, 'only with --level word: characters need no rule');
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
  if (data === undefined) throw invalid('--data', data, `${wanted}; or --resume DIR to continue a run`);
  if (teacher !== undefined && distill === undefined) {
    throw invalid('--teacher', teacher, 'only with --distill, the weight of what it teaches');
  }
  const taught = distill === undefined ? undefined : (teacher ?? from);
  if (distill !== undefined && taught === undefined) {
    throw invalid('--distill', distill, 'a teacher: --teacher MODEL, or --from MODEL to start from it, too');
  }
  return { data, ...(from !== undefined && { from }), ...(taught !== undefined && { teacher: taught }) };
}

/**
 * Adds the sizes of the model of --from, and the vocabulary of --from or --teacher. Throws InputError if the options
 * contradict them.
 */
export async function likeModels<A extends TrainArguments>(given: A): Promise<A> {
  const { from, teacher } = given;
  const path = from ?? teacher;
  if (path === undefined) return given;
  const { config, vocabulary } = await loadModel(path);
  const { hidden, layers } = config;
  const there: Record<string, number | string> = { vocab: vocabulary.size, level: vocabulary.level };
  if (vocabulary.level === 'word') there.rule = vocabulary.rule;
  if (from !== undefined)
    Object.assign(there, { hidden, layers, ...('embedding' in config && { embedding: config.embedding }) });
  for (const [name, value] of Object.entries(there)) {
    const here = given[name as keyof A];
    if (here === undefined || here === value) continue;
    throw invalid(
      flagOf(name),
      here,
      `${value}, as in the model of ${from === undefined ? '--teacher' : '--from'}; leave it out`,
    );
  }
  return { ...given, ...there };
}

function distillationOf(text: string): Distillation {
  if (!text.includes(',')) return { weight: number(text, '--distill'), temperature: 1 };
  const [weight, temperature] = numbers(text, '--distill', ['weight', 'temperature']);
  return { weight, temperature };
}

const optimizerOf = ({ optimizer = 'adam' }: TrainArguments) => optimizer as OptimizerName;

function trainingOptions<Options extends TrainingOptions>(given: TrainArguments, defaults: Options): Options {
  const method = (given.method ?? defaults.method) as Method;
  checkEffects(given, method);
  const [start, end] =
    given.anneal === undefined
      ? [defaults.annealing.start, defaults.annealing.end]
      : numbers(given.anneal, '--anneal', ['start', 'end']);
  const annealing: AnnealingOptions = {
    start,
    end,
    every: given.pruneEvery ?? defaults.annealing.every,
    threshold: (given.threshold ?? defaults.annealing.threshold) as AnnealingOptions['threshold'],
    ...(given.finalSparsity !== undefined && { finalSparsity: given.finalSparsity }),
  };
  const cmr = given.cmr ?? 0;
  if (given.cmr !== undefined && given.cmrRates !== undefined) {
    throw invalid('--cmr-rates', given.cmrRates, 'only without --cmr, which sets both rates');
  }
  const [structure, dopants] = given.cmrRates === undefined ? [cmr, cmr] : cmrRates(given.cmrRates);
  const [scale, power] =
    given.freeRate === undefined
      ? [defaults.freeRate.scale, defaults.freeRate.power]
      : numbers(given.freeRate, '--free-rate', ['scale', 'power']);
  return {
    ...defaults,
    hidden: given.hidden ?? defaults.hidden,
    layers: given.layers ?? defaults.layers,
    method,
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
    ...(given.kron !== undefined && { kron: kronShape(given.kron) }),
    ...(given.block !== undefined && { block: BLOCK_SIZES.find((block) => String(block) === given.block)! }),
  };
}

function scheduleOf({ schedule, decay }: TrainArguments, standard: Schedule): Schedule {
  const kind = (schedule ?? (decay === undefined ? standard.kind : 'decay')) as Schedule['kind'];
  if (kind !== 'decay') {
    if (decay !== undefined) throw invalid('--decay', decay, `only with --schedule decay, not ${kind}`);
    return { kind };
  }
  if (decay !== undefined) {
    const [after, by] = numbers(decay, '--decay', ['epochs', 'divisor']);
    if (after < 0 || by <= 0) throw invalid('--decay', decay, 'epochs >= 0 and a divisor > 0');
    return { kind, after, by };
  }
  return standard.kind === 'decay' ? standard : { kind, after: 4, by: 1.5 };
}

function kronShape(text: string): KronShape {
  const factors = text.split(/, */).map((shape) => /^(\d+)x(\d+)$/.exec(shape)?.slice(1).map(Number));
  if (factors.length < 2 || factors.includes(undefined)) {
    throw invalid('--kron', text, 'two or more shapes, such as 40x10,20x20');
  }
  return factors.flatMap((factor) => factor ?? []);
}
