import { Argument, Command, CommanderError, Option } from 'commander';
import packageJson from '../../package.json';
import { METHODS, STRUCTURE_SHARE } from '../operators/methods.js';
import { number, numberFrom, numberThat, oneOf, type Parser, path, whole, withFlag } from './parsers.js';

/** An option whose value is made by a parser, or is the text itself. */
function option(flags: string, description: string, parse?: Parser<unknown>): Option {
  const made = new Option(flags, description);
  return parse ? made.argParser((text) => parse(text, made.long!)) : made;
}

/** An argument that is a path. */
const argument = (name: string, description: string) =>
  new Argument(name, description).argParser((text) => path(text, name));

const data = () =>
  option(
    '--data <path>',
    "text file, folder of .txt files, folder with ptb.{train,valid,test}.txt, or 'sotu' (the State of the Union addresses)",
    path,
  );
const json = () => option('--json', 'print the result as one JSON object on the last line of stdout');

/** A model of fewer words than one beside `<unk>` and `<eos>`, or of fewer than two characters, can say nothing. */
const SMALLEST_VOCABULARY = 3;

/** The defaults of a task, in words. */
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

/** The options of every training, after those of the task. */
function addTrainingOptions(command: Command, defaults: DefaultTexts): Command {
  return command
    .addOption(option('--hidden <n>', `units per layer (default: ${defaults.hidden})`, whole(1)))
    .addOption(option('--layers <n>', `LSTM layers (default: ${defaults.layers})`, whole(1)))
    .addOption(
      option(
        '--method <name>',
        `how the LSTM matrices are compressed: ${METHODS.join(', ')} (default: doped-kron)`,
        oneOf(METHODS),
      ),
    )
    .addOption(
      option(
        '--compression <factor>',
        `parameters of the dense LSTM matrices divided by those kept (default: ${defaults.compression})`,
        number,
      ),
    )
    .addOption(
      option(
        '--block <n>',
        'prune the dopants in blocks of 1, 4 or 8 consecutive rows (larger blocks run faster), or of the four gates of a unit: gates (default: 1)',
        oneOf(['1', '4', '8', 'gates']),
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
        'learning rate over time: constant, cosine or decay (default: cosine with adam, decay with sgd)',
        oneOf(['constant', 'cosine', 'decay']),
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

/** The commands and their options; each action loads the code of its command when it runs. */
export function createProgram(): Command {
  const program = new Command('dopant')
    .description(
      'Trains, compresses and runs LSTMs whose matrices are small structured ones plus a few free entries, the dopants.',
    )
    .version(packageJson.version)
    .showHelpAfterError('(--help lists the options)')
    .exitOverride();

  const train = program.command('train').description('train a model');

  const lm = train
    .command('lm')
    .description('train a language model with a compressed LSTM on text')
    .addOption(data())
    .addOption(option('--level <level>', 'word or char: what tokens are (default: word)', oneOf(['word', 'char'])))
    .addOption(
      option(
        '--rule <name>',
        'how words are found: in prose; in lines, where a line break ends a sentence too; in tokens, text already tokenised, with spaces between and a sentence per line (default: tokens for ptb.*.txt, lines for text without sentence ends, otherwise prose)',
        oneOf(['prose', 'lines', 'tokens']),
      ),
    )
    .addOption(
      option(
        '--vocab <n>',
        'most frequent tokens kept (default: 10000 words; 256 characters, or more where over 1 % would be unknown)',
        whole(SMALLEST_VOCABULARY),
      ),
    )
    .addOption(
      option('--bptt <n>', 'steps of backpropagation through time (default: 20 words, 32 characters)', whole(1)),
    )
    .addOption(option('--max-tokens <n>', 'train on about this many tokens, sampled from the whole corpus', whole(1)));
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
  $ dopant train lm --data sotu --checkpoint run1     (Ctrl-C stops it; to continue:)
  $ dopant train lm --resume run1`,
    )
    .action(async (options, command: Command) => (await import('./train.js')).trainLm(options, command));

  const intent = train
    .command('intent')
    .description('train a model that classifies the intent of a sentence with a compressed bidirectional LSTM')
    .addOption(
      option(
        '--data <path>',
        'folder with the folders train, valid and optionally test, each with the files seq.in (one sentence per line) and label (its intent)',
        path,
      ),
    )
    .addOption(
      option(
        '--vocab <n>',
        'most frequent words kept (default: all that occur twice or more, at most 10000)',
        whole(SMALLEST_VOCABULARY),
      ),
    )
    .addOption(option('--embedding <n>', 'size of the word embeddings (default: 64)', whole(1)));
  addTrainingOptions(intent, {
    hidden: '64 per direction',
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
  $ dopant train intent --data snips --method dense --checkpoint run1     (Ctrl-C stops it; to continue:)
  $ dopant train intent --resume run1`,
    )
    .action(async (options, command: Command) => (await import('./train.js')).trainIntent(options, command));

  program
    .command('eval')
    .description('measure the perplexity of a language model, or the accuracy of an intent model')
    .addArgument(argument('<model>', 'model file'))
    .addOption(option('--data <path>', 'data in the form that the model was trained on', path).makeOptionMandatory())
    .addOption(
      option(
        '--split <name>',
        'valid or test (default: test, or valid where there is no test folder)',
        oneOf(['valid', 'test']),
      ),
    )
    .addOption(json())
    .addHelpText('after', '\nExample:\n  $ dopant eval model.safetensors --data sotu --split valid')
    .action(async (model, options) => (await import('./eval.js')).evaluate(model, options));

  program
    .command('predict')
    .description('classify the intent of a sentence')
    .addArgument(argument('<model>', 'model file'))
    .argument('<text>', 'the sentence')
    .addOption(
      option(
        '--threshold <p>',
        "answer 'none' where no intent has this probability, from 0 to 1 (default: 0)",
        numberThat((p) => p >= 0 && p <= 1, 'a number from 0 to 1'),
      ),
    )
    .addOption(json())
    .addHelpText('after', '\nExample:\n  $ dopant predict model.safetensors "flights from boston to denver"')
    .action(async (model, text, options) => (await import('./predict.js')).predict(model, text, options));

  program
    .command('generate')
    .description('generate text')
    .addArgument(argument('<model>', 'model file'))
    .addOption(option('--prompt <text>', 'text to continue').default(''))
    .addOption(option('--tokens <n>', 'tokens to generate', whole(1)).default(100))
    .addOption(
      option(
        '--temperature <x>',
        '0 picks the most likely token; 1 samples from the probabilities of the model',
        numberFrom(0),
      ).default(0.8),
    )
    .addOption(option('--seed <n>', 'the same seed gives the same text', whole(0)).default(1))
    .addOption(option('--top-k <n>', 'sample from the n most likely tokens only (default: all)', whole(1)))
    .addOption(
      option(
        '--top-p <p>',
        'sample from the fewest most likely tokens whose probabilities add up to p, above 0 and up to 1 (default: 1)',
        numberThat((p) => p > 0 && p <= 1, 'a number > 0 and <= 1'),
      ),
    )
    .addOption(json())
    .addHelpText('after', '\nExample:\n  $ dopant generate model.safetensors --prompt "the union of" --tokens 50')
    .action(async (model, options) => (await import('./generate.js')).generateText(model, options));

  program
    .command('export')
    .description('write a model for deployment, and measure what that changes')
    .addArgument(argument('<model>', 'model file'))
    .addOption(
      option('--head <type>', 'weights of the softmax head: f32 or int8', oneOf(['f32', 'int8'])).default('int8'),
    )
    .addOption(option('--out <file>', 'model file to write', path).makeOptionMandatory())
    .addOption(data())
    .addOption(
      option('--split <name>', 'part of --data to measure on: valid or test (default: test)', oneOf(['valid', 'test'])),
    )
    .addOption(json())
    .addHelpText(
      'after',
      '\nExample:\n  $ dopant export model.safetensors --head int8 --data sotu --out small.safetensors',
    )
    .action(async (model, options) => (await import('./export.js')).exportModel(model, options));

  program
    .command('inspect')
    .description('print the contents of a model file, and how far it is compressed')
    .addArgument(argument('<model>', 'model file'))
    .addOption(json())
    .addHelpText('after', '\nExample:\n  $ dopant inspect model.safetensors')
    .action(async (model, options) => (await import('./inspect.js')).inspect(model, options));

  program
    .command('experiment')
    .description('train a grid of models (methods, compressions, seeds), with tuning, in parallel, resumable')
    .addArgument(argument('<grid>', 'JSON file'))
    .addOption(option('--out <dir>', "folder for the records of the runs (default: 'records' beside the file)", path))
    .addOption(option('--only <k/n>', 'run only the k-th of n parts; the records of all parts make up the whole'))
    .addOption(option('--jobs <n>', 'parallel runs (default: one per core)', whole(1)))
    .addOption(option('--dry-run', 'print the runs and their work, and run nothing'))
    .addOption(json())
    .addHelpText(
      'after',
      `
The grid:
  {
    "task": "lm",                                settings are the options of dopant train:
    "settings": {"data": "sotu", "level": "word", "max-tokens": 300000, "hidden": 160, "epochs": 6},
    "tune": {"lr": [0.003, 0.006]},              tried with the first seed; the best on the validation split
    "seeds": [1, 2, 3],                          is run with the others; only then is the test split read
    "cells": [                                   run in this order; a list stands for one cell per value
      {"method": "dense"},
      {"method": ["pruned", "doped-kron"], "compression": [10, 25]},
      {"method": "small-dense", "compression": 25},
      {"name": "4x1", "method": "doped-kron", "compression": 25, "block": 4, "with": {"dropout": 0.2}}
    ]
  }
small-dense is a dense model with as many units as the budget allows. A cell may have its own "tune" and "seeds".
"from": "@NAME" or "teacher": "@NAME" is the model of the cell of that name with the same seed. Finished runs are
not repeated; after a stop or a kill the same command continues, having lost at most a minute of each run.

Examples:
  $ dopant experiment word.json --dry-run
  $ dopant experiment word.json --only $SLURM_ARRAY_TASK_ID/8 --jobs 1`,
    )
    .action(async (file, options) => (await import('./experiment.js')).experiment(file, options, train));

  program
    .command('report')
    .description('make one page of the results of experiments: tables, curves, sparsity patterns')
    .argument('<folders...>', 'folders with records of dopant experiment')
    .addOption(option('--out <file>', 'HTML page to write', path).makeOptionMandatory())
    .addOption(option('--model <file>', 'also draw a doped matrix of this model', path))
    .addOption(json())
    .addHelpText('after', '\nExample:\n  $ dopant report records --model doped.safetensors --out report.html')
    .action(async (folders, options) => (await import('./records-report.js')).reportRecords(folders, options));

  program
    .command('demo')
    .description('train a dense and a doped model side by side, and compare them')
    .addArgument(argument('[folder]', 'folder for the models and the page').default('models'))
    .action(async (folder) => (await import('./demo.js')).demo(folder));
  return program;
}

/**
 * Runs one command line, such as ['eval', 'model.safetensors', '--data', 'sotu'], and returns the exit code: 0 success,
 * 1 failure, 2 wrong usage. Errors are printed to stderr.
 */
export async function runCommand(args: readonly string[]): Promise<number> {
  let flags: string[] = [];
  try {
    await createProgram()
      .hook('preAction', (_, { options }) => {
        flags = options.flatMap(({ long }) => long ?? []);
      })
      .parseAsync(args, { from: 'user' });
    return 0;
  } catch (error) {
    return explain(error, flags);
  }
}

/** Prints an error and returns the exit code. `flags`: those of the command that failed. */
function explain(error: unknown, flags: readonly string[]): number {
  // Of a run that left its model all the same.
  if (error instanceof AggregateError) {
    for (const problem of error.errors) explain(problem, flags);
    return 1;
  }
  // Commander has printed what is wrong; --help and --version are no errors.
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  const { name, message, stack, cause } = error as Error;
  // By name: an error from another thread has lost its class.
  const known = ['InputError', 'FileFormatError', 'TrainingError', 'Interrupted'].includes(name);
  // What the system refuses, such as a full disk, has a code such as ENOSPC; the rest is a mistake of ours and needs its
  // stack.
  const refused = [error, cause].some((one) =>
    /^E[A-Z0-9]+$/.test((one as NodeJS.ErrnoException | undefined)?.code ?? ''),
  );
  const expected = known || refused || message.startsWith('out of memory');
  // One line, whatever names are in it.
  const line = withFlag(message, flags).replace(/\p{Cc}/gu, (control) => JSON.stringify(control).slice(1, -1));
  process.stderr.write(`dopant: ${expected ? line : stack}\n`);
  return name === 'InputError' ? 2 : 1;
}
