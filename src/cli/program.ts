import { Argument, Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import packageJson from '../../package.json';
import { METHODS, STRUCTURE_SHARE } from '../operators/methods.js';

const number = (text: string) => {
  const value = text.trim() === '' ? Number.NaN : Number(text);
  if (Number.isNaN(value)) throw new InvalidArgumentError('A number is wanted.');
  return value;
};

const whole = (least: number) => (text: string) => {
  const value = number(text);
  if (!Number.isSafeInteger(value) || value < least) {
    throw new InvalidArgumentError(`A whole number of at least ${least} is wanted.`);
  }
  return value;
};

const data = () =>
  new Option(
    '--data <path>',
    "text file, folder of .txt files, folder with ptb.{train,valid,test}.txt, or 'sotu', the State of the Union addresses",
  );
const json = () => new Option('--json', 'print one JSON object as the last line of stdout');

/** What a task sets where nothing is said, in words. */
interface DefaultTexts {
  hidden: string;
  layers: string;
  compression: string;
  lr: string;
  dropout: string;
  batch: string;
  epochs: string;
  freeRate: string;
}

/** The options of every training; those of the task itself stand before them. */
function addTrainingOptions(command: Command, defaults: DefaultTexts): Command {
  return command
    .addOption(new Option('--hidden <n>', `units of a layer (default: ${defaults.hidden})`).argParser(whole(1)))
    .addOption(new Option('--layers <n>', `LSTM layers (default: ${defaults.layers})`).argParser(whole(1)))
    .addOption(new Option('--method <name>', `one of ${METHODS.join(', ')} (default: doped-kron)`))
    .addOption(
      new Option(
        '--compression <factor>',
        `parameters of the dense LSTM matrices over those kept (default: ${defaults.compression})`,
      ).argParser(number),
    )
    .addOption(
      new Option(
        '--block <n>',
        'prune the dopants in blocks of 1, 4 or 8 consecutive rows: larger ones run faster; or of the four gates of a unit (default: 1)',
      ).choices(['1', '4', '8', 'gates']),
    )
    .addOption(
      new Option('--from <model>', 'start from a trained model, its matrices split as the method asks; its sizes hold'),
    )
    .addOption(
      new Option(
        '--distill <weight[,temperature]>',
        'share of the loss that is the distance from the probabilities of a teacher, the model of --from',
      ),
    )
    .addOption(new Option('--cmr <p>', 'co-matrix row dropout of both matrices (default: 0)').argParser(number))
    .addOption(new Option('--optimizer <name>', 'sgd or adam (default: adam)'))
    .addOption(new Option('--lr <x>', `learning rate (default: ${defaults.lr})`).argParser(number))
    .addOption(new Option('--dropout <p>', `dropout between layers (default: ${defaults.dropout})`).argParser(number))
    .addOption(new Option('--batch <n>', `sequences side by side (default: ${defaults.batch})`).argParser(whole(1)))
    .addOption(new Option('--epochs <n>', `passes over the text (default: ${defaults.epochs})`).argParser(whole(1)))
    .addOption(new Option('--seed <n>', 'the same seed gives the same model (default: 1)').argParser(whole(0)))
    .addOption(
      new Option('--threads <n>', 'that share the work; the model is the same, bit by bit (default: 1)').argParser(
        whole(1),
      ),
    )
    .addOption(new Option('--checkpoint <dir>', 'write checkpoints here, to go on from after any stop'))
    .addOption(
      new Option(
        '--resume <dir>',
        'continue the run whose checkpoint is here, with its settings; --data, --out and --threads may be others',
      ),
    )
    .addOption(new Option('--out <file>', 'the model (default: model.safetensors)'))
    .addOption(json())
    .optionsGroup('Fine tuning:')
    .addOption(
      new Option(
        '--kron <shapes>',
        'Kronecker factors, two or more, as 40x10,20x20 (default: the fewest parameters in two, or in three where two take over half of the budget)',
      ),
    )
    .addOption(new Option('--clip <x>', 'largest norm of the gradient, 0 for none (default: 5)').argParser(number))
    .addOption(
      new Option('--schedule <name>', 'learning rate: constant, cosine (default of adam) or decay (default of sgd)'),
    )
    .addOption(
      new Option('--decay <after,by>', 'decay: epochs at the full rate, then the divisor an epoch (default: 4,1.5)'),
    )
    .addOption(
      new Option('--anneal <start,end>', 'shares of training between which the dopants are pruned (default: 0.1,0.6)'),
    )
    .addOption(new Option('--prune-every <n>', 'steps between two prunings (default: 20)').argParser(whole(1)))
    .addOption(new Option('--threshold <scope>', 'prune by one threshold, global, or one a matrix (default: global)'))
    .addOption(
      new Option(
        '--final-sparsity <s>',
        'sparsity of the dopants in the end (default: what --compression asks)',
      ).argParser(number),
    )
    .addOption(
      new Option(
        '--free-rate <scale,power>',
        `free weights learn at min(1, scale density^-power) of the rate (default: ${defaults.freeRate})`,
      ),
    )
    .addOption(
      new Option(
        '--structure-share <q>',
        `of the variance that a doped matrix starts with, what its structure has (default: ${STRUCTURE_SHARE})`,
      ).argParser(number),
    )
    .addOption(new Option('--cmr-rates <s,m>', 'co-matrix row dropout of the structure and of the dopants'))
    .addOption(new Option('--cmr-hold', 'hold each CMR mask over the sequence instead of one step'))
    .addOption(
      new Option('--cmr-until <share>', 'share of training after which CMR is off (default: 1)').argParser(number),
    )
    .addOption(
      new Option(
        '--alternate <n>',
        'block coordinate descent: train structure and dopants in turn, n steps each',
      ).argParser(whole(0)),
    )
    .addOption(new Option('--teacher <model>', 'learn from this model instead of that of --from'))
    .optionsGroup('Output:')
    .addOption(
      new Option('--checkpoint-every <seconds>', 'time between two checkpoints (default: 60)').argParser(number),
    )
    .addOption(new Option('--records <file>', 'write the training records as JSON: loss, perplexity, sparsity, CMA'))
    .addOption(new Option('--report <file>', 'write the curves of the training as an HTML page'));
}

/** The commands and their options; each action loads its command's code when it runs. */
export function createProgram(): Command {
  const program = new Command('dopant')
    .description('Compressed LSTMs: a small structured matrix plus a few free entries, the dopants.')
    .version(packageJson.version)
    .showHelpAfterError('(--help tells the options)')
    .exitOverride();

  const train = program.command('train').description('train a model');

  const lm = train
    .command('lm')
    .description('train a language model on text, its LSTM compressed')
    .addOption(data())
    .addOption(
      new Option('--level <level>', 'tokens are words or characters (default: word)').choices(['word', 'char']),
    )
    .addOption(
      new Option(
        '--rule <name>',
        'how words are found: in prose; in lines, where a line break ends a sentence too; in tokens, text already tokenised, with spaces between and a sentence per line (default: tokens for ptb.*.txt, lines for text without sentence ends, otherwise prose)',
      ).choices(['prose', 'lines', 'tokens']),
    )
    .addOption(
      new Option(
        '--vocab <n>',
        'most frequent tokens kept (default: 10000 words; 256 characters, or more where over 1 % would be unknown)',
      ).argParser(whole(2)),
    )
    .addOption(
      new Option('--bptt <n>', 'steps of backpropagation through time (default: 20 words, 32 characters)').argParser(
        whole(1),
      ),
    )
    .addOption(
      new Option('--max-tokens <n>', 'train on about so many tokens, taken from all over the corpus').argParser(
        whole(1),
      ),
    );
  addTrainingOptions(lm, {
    hidden: '200',
    layers: '2',
    compression: '25',
    lr: 'adam 0.01 for words, 0.02 for characters; sgd 1',
    dropout: '0.3 for words, 0 for characters',
    batch: '16',
    epochs: '6 for words, 1 for characters',
    freeRate: 'adam 0.1,1 for words, 0.05,1 for characters; sgd 1,0',
  })
    .addHelpText(
      'after',
      `
Examples:
  $ dopant train lm --data sotu --vocab 5000 --max-tokens 300000 --out doped.safetensors
  $ dopant train lm --data book.txt --level char --method dense --out dense.safetensors
  $ dopant train lm --data book.txt --from dense.safetensors --distill 0.5 --out doped.safetensors
  $ dopant train lm --data sotu --checkpoint run1     (Ctrl-C stops; then:)
  $ dopant train lm --resume run1`,
    )
    .action(async (options, command: Command) => (await import('./train.js')).trainLm(options, command));

  const intent = train
    .command('intent')
    .description('train a model that tells what a sentence wants, its bidirectional LSTM compressed')
    .addOption(
      new Option(
        '--data <path>',
        'folder with the folders train, valid and perhaps test, each with seq.in, a sentence a line, and label, its intent',
      ),
    )
    .addOption(
      new Option('--vocab <n>', 'most frequent words kept (default: all seen at least twice, 10000 at most)').argParser(
        whole(2),
      ),
    )
    .addOption(new Option('--embedding <n>', 'numbers that stand for a word (default: 64)').argParser(whole(1)));
  addTrainingOptions(intent, {
    hidden: '64, in each direction',
    layers: '1',
    compression: '10',
    lr: 'adam 0.006; sgd 0.5',
    dropout: '0.3',
    batch: '16',
    epochs: '8',
    freeRate: 'adam 0.3,1; sgd 1,0',
  })
    .addHelpText(
      'after',
      `
Examples:
  $ dopant train intent --data atis --out intents.safetensors
  $ dopant train intent --data snips --method dense --checkpoint run1     (Ctrl-C stops; then:)
  $ dopant train intent --resume run1`,
    )
    .action(async (options, command: Command) => (await import('./train.js')).trainIntent(options, command));

  program
    .command('eval')
    .description('perplexity of a language model on text, accuracy of an intent model on labelled sentences')
    .argument('<model>', 'model file')
    .addOption(new Option('--data <path>', 'as for the training of the model').makeOptionMandatory())
    .addOption(
      new Option('--split <name>', 'part of the data (default: test, or valid where there is no test folder)').choices([
        'valid',
        'test',
      ]),
    )
    .addOption(json())
    .addHelpText('after', '\nExample:\n  $ dopant eval model.safetensors --data sotu --split valid')
    .action(async (model, options) => (await import('./eval.js')).evaluate(model, options));

  program
    .command('predict')
    .description('what a sentence wants, by an intent model')
    .argument('<model>', 'model file')
    .argument('<text>', 'the sentence')
    .addOption(json())
    .addHelpText('after', '\nExample:\n  $ dopant predict model.safetensors "flights from boston to denver"')
    .action(async (model, text, options) => (await import('./predict.js')).predict(model, text, options));

  program
    .command('generate')
    .description('text from a model')
    .argument('<model>', 'model file')
    .addOption(new Option('--prompt <text>', 'text to go on from').default(''))
    .addOption(new Option('--tokens <n>', 'tokens to write').argParser(whole(1)).default(100))
    .addOption(
      new Option('--temperature <x>', '0: always the likeliest; 1: as the model says').argParser(number).default(0.8),
    )
    .addOption(new Option('--seed <n>', 'the same seed gives the same text').argParser(whole(0)).default(1))
    .addHelpText('after', '\nExample:\n  $ dopant generate model.safetensors --prompt "the union of" --tokens 50')
    .action(async (model, options) => (await import('./generate.js')).generateText(model, options));

  program
    .command('export')
    .description('write a model as it will be deployed, and measure what that costs')
    .argument('<model>', 'model file')
    .addOption(new Option('--head <type>', 'weights of the softmax head').choices(['f32', 'int8']).default('int8'))
    .addOption(new Option('--out <file>', 'the exported model').makeOptionMandatory())
    .addOption(data())
    .addOption(new Option('--split <name>', 'part of the corpus').choices(['valid', 'test']).default('test'))
    .addOption(json())
    .addHelpText(
      'after',
      '\nExample:\n  $ dopant export model.safetensors --head int8 --data sotu --out small.safetensors',
    )
    .action(async (model, options) => (await import('./export.js')).exportModel(model, options));

  program
    .command('inspect')
    .description('what a model file holds, and how far it is compressed')
    .argument('<model>', 'model file')
    .addOption(json())
    .addHelpText('after', '\nExample:\n  $ dopant inspect model.safetensors')
    .action(async (model, options) => (await import('./inspect.js')).inspect(model, options));

  program
    .command('experiment')
    .description('train a grid of models: methods, compressions, seeds; tuned, resumable, side by side')
    .argument('<grid>', 'JSON file')
    .addOption(new Option('--out <dir>', "records of the runs (default: 'records' beside the file)"))
    .addOption(new Option('--only <k/n>', 'the k-th of n parts; records of all parts together are those of the whole'))
    .addOption(new Option('--jobs <n>', 'runs side by side (default: one a core)').argParser(whole(1)))
    .addOption(new Option('--dry-run', 'tell what would be run, and how much work it is'))
    .addOption(json())
    .addHelpText(
      'after',
      `
The grid:
  {
    "task": "lm",                                options are those of dopant train, by their names there:
    "settings": {"data": "sotu", "level": "word", "max-tokens": 300000, "hidden": 160, "epochs": 6},
    "tune": {"lr": [0.003, 0.006]},              tried with the first seed; the best on the validation split is taken
    "seeds": [1, 2, 3],                          and run with the others; only then the test split is read
    "cells": [                                   in this order; a list makes a cell of each value
      {"method": "dense"},
      {"method": ["pruned", "doped-kron"], "compression": [10, 25]},
      {"method": "small-dense", "compression": 25},
      {"name": "4x1", "method": "doped-kron", "compression": 25, "block": 4, "with": {"dropout": 0.2}}
    ]
  }
small-dense is a dense model of as many units as the budget allows. A cell may have "tune" and "seeds" of its own.
A value "@NAME" is the model of the cell of that name, with the same seed. What is finished is not run again, and
a stop or a kill costs at most a minute of each run: the same command goes on.

Examples:
  $ dopant experiment word.json --dry-run
  $ dopant experiment word.json --only $SLURM_ARRAY_TASK_ID/8 --jobs 1`,
    )
    .action(async (file, options) => (await import('./experiment.js')).experiment(file, options, train));

  program
    .command('report')
    .description('one page of what the runs of experiments came to: tables, curves, patterns')
    .argument('<folders...>', 'records of dopant experiment')
    .addOption(new Option('--out <file>', 'the HTML page').makeOptionMandatory())
    .addOption(new Option('--model <file>', 'draw a doped matrix of this model too'))
    .addOption(json())
    .addHelpText('after', '\nExample:\n  $ dopant report records --model doped.safetensors --out report.html')
    .action(async (folders, options) => (await import('./records-report.js')).reportRecords(folders, options));

  program
    .command('demo')
    .description('train a dense and a doped model side by side, and compare them')
    .addArgument(new Argument('[folder]', 'where the models and the page go').default('models'))
    .action(async (folder) => (await import('./demo.js')).demo(folder));
  return program;
}

/**
 * Runs one command line, such as ['eval', 'model.safetensors', '--data', 'sotu'], and returns the exit code: 0 success,
 * 1 failure, 2 wrong usage. Errors are printed to stderr.
 */
export async function runCommand(args: readonly string[]): Promise<number> {
  try {
    await createProgram().parseAsync(args, { from: 'user' });
    return 0;
  } catch (error) {
    return explain(error);
  }
}

function explain(error: unknown): number {
  // Of a run that left its model all the same.
  if (error instanceof AggregateError) {
    for (const problem of error.errors) explain(problem);
    return 1;
  }
  // Commander has said what was wrong; asking for help or the version is no error.
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  const { name, message, stack } = error as Error;
  // By name: an error from another thread has lost its class.
  const known = ['InputError', 'FileFormatError', 'TrainingError', 'Interrupted'].includes(name);
  // What the machine refuses, such as a full disk, has a code or is memory; the rest is a mistake of ours, and wants
  // its stack.
  const refused = (error as { cause?: { code?: string } }).cause?.code !== undefined;
  const expected = known || refused || message.startsWith('out of memory');
  process.stderr.write(`dopant: ${expected ? message : stack}\n`);
  return name === 'InputError' ? 2 : 1;
}
