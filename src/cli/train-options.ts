import type { Command } from 'commander';
import { invalid } from '../errors.js';
import type { Cell } from '../nn/config.js';
import { CELLS } from '../nn/config.js';
import type { FewBits } from '../nn/leaves.js';
import type { Distillation } from '../nn/loss.js';
import { BLOCK_SIZES } from '../operators/csr.js';
import type { KronShape, Method } from '../operators/methods.js';
import { METHODS, STRUCTURE_SHARE } from '../operators/methods.js';
import type { TrainingOptions } from '../tasks/training.js';
import type { AnnealingOptions } from '../train/annealing.js';
import type { OptimizerName } from '../train/optimizers.js';
import type { Schedule } from '../train/schedule.js';
import { checkEffects, cmrRates } from './effects.js';
import { json, option } from './option.js';
import { number, numberFrom, numbers, numberThat, oneOf, path, whole } from './parsers.js';
import type { RunSource } from './task.js';

// The options of `dopant train`, and the source and the settings of a run that they ask for.

/** The options of every task as Commander passes them; undefined if not given. */
export interface TrainArguments {
  data?: string;
  hidden?: number;
  layers?: number;
  cell?: string;
  directions?: string;
  method?: string;
  compression?: number;
  matrices?: string;
  linearCompression?: number;
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
  bits?: string;
  clip?: number;
  schedule?: string;
  decay?: string;
  anneal?: string;
  pruneEvery?: number;
  threshold?: string;
  finalSparsity?: number;
  freeRate?: string;
  headRate?: number;
  beta1?: number;
  l1?: number;
  warmup?: number;
  saliency?: string;
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

/** The files that a run reads. `wanted`: what --data must name. Throws InputError where they do not go together. */
export function sourceOf({ data, from, teacher, distill }: TrainArguments, wanted: string): RunSource {
  if (data === undefined) throw invalid('--data', data, `${wanted}; or --resume DIR to continue a run`);
  if (teacher !== undefined && distill === undefined) {
    throw invalid('--teacher', teacher, 'only with --distill, the weight of what it teaches');
  }
  const learntFrom = distill === undefined ? undefined : (teacher ?? from);
  if (distill !== undefined && learntFrom === undefined) {
    throw invalid('--distill', distill, 'a teacher: --teacher MODEL, or --from MODEL to start from it, too');
  }
  return { data, ...(from !== undefined && { from }), ...(learntFrom !== undefined && { teacher: learntFrom }) };
}

function distillationOf(text: string): Distillation {
  if (!text.includes(',')) return { weight: number(text, '--distill'), temperature: 1 };
  const [weight, temperature] = numbers(text, '--distill', ['weight', 'temperature']);
  return { weight, temperature };
}

export const optimizerOf = ({ optimizer = 'adam' }: TrainArguments) => optimizer as OptimizerName;

/** The settings of a run. `directions`: how many the model has unless told otherwise. Throws InputError for impossible ones. */
export function trainingOptions<Options extends TrainingOptions>(
  given: TrainArguments,
  defaults: Options,
  directions: 1 | 2,
): Options {
  const method = (given.method ?? defaults.method) as Method;
  checkEffects(given, method);
  const [start, end] =
    given.anneal === undefined
      ? [defaults.annealing.start, defaults.annealing.end]
      : numbers(given.anneal, '--anneal', ['start', 'end']);
  const saliency = (given.saliency ?? defaults.annealing.saliency) as AnnealingOptions['saliency'];
  const annealing: AnnealingOptions = {
    start,
    end,
    every: given.pruneEvery ?? defaults.annealing.every,
    threshold: (given.threshold ?? defaults.annealing.threshold) as AnnealingOptions['threshold'],
    ...(saliency !== undefined && { saliency }),
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
    // Defaults are left out of files.
    ...(given.cell !== undefined && given.cell !== 'lstm' && { cell: given.cell as Cell }),
    ...(given.directions !== undefined &&
      Number(given.directions) !== directions && { directions: directions === 1 ? 2 : 1 }),
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
    headRate: given.headRate ?? defaults.headRate,
    beta1: given.beta1 ?? defaults.beta1,
    l1: given.l1 ?? defaults.l1,
    structureShare: given.structureShare ?? defaults.structureShare,
    coMatrixDropout: { structure, dopants, hold: given.cmrHold ?? false, until: given.cmrUntil ?? 1 },
    ...(given.distill !== undefined && { distillation: distillationOf(given.distill) }),
    ...(given.matrices === 'all' && { matrices: 'all' as const }),
    ...(given.linearCompression !== undefined && { linearCompression: given.linearCompression }),
    ...(given.bits !== undefined && { bits: Number(given.bits) as FewBits }),
    ...(given.kron !== undefined && { kron: kronShape(given.kron) }),
    ...(given.block !== undefined && { block: BLOCK_SIZES.find((block) => String(block) === given.block)! }),
  };
}

function scheduleOf({ schedule, decay, warmup }: TrainArguments, standard: Schedule): Schedule {
  const kind = (schedule ?? (decay === undefined ? standard.kind : 'decay')) as Schedule['kind'];
  if (warmup !== undefined && kind !== 'linear')
    throw invalid('--warmup', warmup, `only with --schedule linear, not ${kind}`);
  if (kind !== 'decay') {
    if (decay !== undefined) throw invalid('--decay', decay, `only with --schedule decay, not ${kind}`);
    if (kind !== 'linear') return { kind };
    return { kind, warmup: warmup ?? (standard.kind === 'linear' ? standard.warmup : 0) };
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

/** The defaults of a task, in words. */
export interface DefaultTexts {
  hidden: string;
  layers: string;
  directions: string;
  compression: string;
  lr: string;
  dropout: string;
  batch: string;
  epochs: string;
  freeRate: string;
  // Where they are other than those of most tasks.
  schedule?: string;
  headRate?: string;
  beta1?: string;
  l1?: string;
  saliency?: string;
}

/** A model of fewer words than one beside `<unk>` and `<eos>`, or of fewer than two characters, can say nothing. */
export const SMALLEST_VOCABULARY = 3;

/** The options of every training, after those of the task. */
export function addTrainingOptions(command: Command, defaults: DefaultTexts): Command {
  const { schedule = 'cosine with adam, decay with sgd', headRate = '1', beta1 = '0.9', l1 = '0' } = defaults;
  const { saliency = 'magnitude' } = defaults;
  return command
    .addOption(option('--hidden <n>', `units per layer (default: ${defaults.hidden})`, whole(1)))
    .addOption(option('--layers <n>', `recurrent layers (default: ${defaults.layers})`, whole(1)))
    .addOption(option('--cell <name>', 'kind of the recurrent layers: lstm or gru (default: lstm)', oneOf(CELLS)))
    .addOption(
      option(
        '--directions <n>',
        `directions in which they read: 1, forward, or 2, both (default: ${defaults.directions})`,
        oneOf(['1', '2']),
      ),
    )
    .addOption(
      option(
        '--method <name>',
        `how matrices are compressed: ${METHODS.join(', ')} (default: doped-kron)`,
        oneOf(METHODS),
      ),
    )
    .addOption(
      option(
        '--compression <factor>',
        `parameters of a dense matrix divided by those kept (default: ${defaults.compression})`,
        number,
      ),
    )
    .addOption(
      option(
        '--matrices <which>',
        'which matrices --method compresses: recurrent, or all, those of linear layers such as the head, too (default: recurrent)',
        oneOf(['recurrent', 'all']),
      ),
    )
    .addOption(
      option(
        '--linear-compression <factor>',
        'for --matrices all: the compression of the matrices of linear layers (default: that of --compression)',
        numberThat((n) => n >= 1, 'a number >= 1'),
      ),
    )
    .addOption(
      option(
        '--block <n>',
        'prune the dopants in blocks of 1, 4 or 8 consecutive rows (larger blocks run faster), or of the four gates of a unit of an LSTM: gates (default: 1)',
        oneOf(['1', '4', '8', 'gates']),
      ),
    )
    .addOption(
      option(
        '--bits <n>',
        'write a small file: numbers in 8, 4, 3 or 2 bits, factors in 8; the last third of the training rounds to them (default: f32)',
        oneOf(['8', '4', '3', '2']),
      ),
    )
    .addOption(
      option(
        '--from <model>',
        'start from this trained model: its matrices are decomposed for --method, its sizes are kept',
        path,
      ),
    )
    .addOption(
      option(
        '--distill <weight[,temperature]>',
        'learn from the probabilities of a teacher, too, with this weight in the loss',
      ),
    )
    .addOption(
      option('--cmr <p>', 'rate of co-matrix row dropout (CMR) for structure and dopants (default: 0)', number),
    )
    .addOption(option('--optimizer <name>', 'sgd or adam (default: adam)', oneOf(['sgd', 'adam'])))
    .addOption(option('--lr <x>', `learning rate (default: ${defaults.lr})`, number))
    .addOption(option('--dropout <p>', `dropout rate between layers (default: ${defaults.dropout})`, number))
    .addOption(option('--batch <n>', `sequences per batch (default: ${defaults.batch})`, whole(1)))
    .addOption(option('--epochs <n>', `passes over the training data (default: ${defaults.epochs})`, whole(1)))
    .addOption(option('--seed <n>', 'the same seed gives the same model (default: 1)', whole(0)))
    .addOption(
      option(
        '--threads <n>',
        'threads that share the work; any number gives the same model, bit by bit (default: 1)',
        whole(1),
      ),
    )
    .addOption(
      option('--checkpoint <dir>', 'write checkpoints to this folder, from which the run can be resumed', path),
    )
    .addOption(
      option(
        '--resume <dir>',
        'resume the run whose checkpoint is in this folder, with its settings; --data, --out and --threads may be others',
        path,
      ),
    )
    .addOption(option('--out <file>', 'model file to write (default: model.safetensors)', path))
    .addOption(json())
    .optionsGroup('Fine tuning:')
    .addOption(
      option(
        '--kron <shapes>',
        'two or more Kronecker factors, such as 40x10,20x20 (default: two with the fewest parameters, or three where two would take over half of the budget)',
      ),
    )
    .addOption(option('--clip <x>', 'largest norm of the gradient; 0 disables clipping (default: 5)', number))
    .addOption(
      option(
        '--schedule <name>',
        `learning rate over time: constant, cosine, linear or decay (default: ${schedule})`,
        oneOf(['constant', 'cosine', 'linear', 'decay']),
      ),
    )
    .addOption(
      option(
        '--warmup <share>',
        'for --schedule linear: share of the training in which the rate rises (default: 0)',
        number,
      ),
    )
    .addOption(
      option(
        '--decay <after,by>',
        'for --schedule decay: epochs at the full rate, then the divisor per epoch (default: 4,1.5)',
      ),
    )
    .addOption(
      option('--anneal <start,end>', 'when pruning starts and ends, as shares of the training (default: 0.1,0.6)'),
    )
    .addOption(option('--prune-every <n>', 'steps between two prunings (default: 20)', whole(1)))
    .addOption(
      option(
        '--threshold <scope>',
        'pruning threshold: one for all matrices (global), or one for each (matrix) (default: global)',
        oneOf(['global', 'matrix']),
      ),
    )
    .addOption(
      option(
        '--final-sparsity <s>',
        'sparsity of the dopants at the end (default: what --compression leaves them)',
        number,
      ),
    )
    .addOption(
      option(
        '--free-rate <scale,power>',
        `free weights learn at min(1, scale * density^-power) times the learning rate (default: ${defaults.freeRate})`,
      ),
    )
    .addOption(
      option(
        '--head-rate <x>',
        `the last layer learns at this many times the learning rate (default: ${headRate})`,
        number,
      ),
    )
    .addOption(
      option(
        '--beta1 <x>',
        `for --optimizer adam: what it keeps of its first moment at each step (default: ${beta1})`,
        number,
      ),
    )
    .addOption(
      option('--l1 <x>', `L1 regularisation of the dopants, in units of their learning rate (default: ${l1})`, number),
    )
    .addOption(
      option(
        '--saliency <name>',
        `what is pruned first: the least magnitude, or (moment) the least magnitude times the fourth root of Adam's second moment (default: ${saliency})`,
        oneOf(['magnitude', 'moment']),
      ),
    )
    .addOption(
      option(
        '--structure-share <q>',
        `share of a doped matrix's initial variance that its structure gets (default: ${STRUCTURE_SHARE})`,
        number,
      ),
    )
    .addOption(option('--cmr-rates <s,m>', 'separate CMR rates for structure and dopants, instead of --cmr'))
    .addOption(option('--cmr-hold', 'keep each CMR mask for a whole sequence instead of one step'))
    .addOption(option('--cmr-until <share>', 'share of the training after which CMR is off (default: 1)', number))
    .addOption(
      option(
        '--alternate <n>',
        'block coordinate descent: train structure and dopants in turn, n steps each; 0 trains both together (default: 0)',
        whole(0),
      ),
    )
    .addOption(option('--teacher <model>', 'teacher for --distill (default: the model of --from)', path))
    .optionsGroup('Output:')
    .addOption(option('--checkpoint-every <seconds>', 'time between two checkpoints (default: 60)', numberFrom(0)))
    .addOption(option('--records <file>', 'write the training records (loss, perplexity, sparsity, CMA) as JSON', path))
    .addOption(option('--report <file>', 'write the training curves as an HTML page', path));
}
