import { Command, CommanderError } from 'commander';
import packageJson from '../../package.json';
import { DEFAULT_TASK } from './default-task.js';
import { json, option, pathArgument } from './option.js';
import { numberFrom, numberThat, oneOf, type Parser, path, whole, withFlag } from './parsers.js';
import { TASKS } from './tasks.js';
import { addTrainingOptions } from './train-options.js';

/** The commands and their options; each action loads the code of its command when it runs. */
export function createProgram(): Command {
  const program = new Command('dopant')
    .description(
      'Trains, compresses and runs LSTMs and GRUs whose matrices are small structured ones plus a few free entries, the dopants.',
    )
    .version(packageJson.version)
    .showHelpAfterError('(--help lists the options)')
    .exitOverride();

  const train = program.command('train').description('train a model');

  for (const task of TASKS) {
    const command = train.command(task.training.task).description(task.about);
    for (const option of task.options()) command.addOption(option);
    addTrainingOptions(command, task.defaults)
      .addHelpText('after', `\nExamples:\n${task.examples.map((example) => `  $ ${example}`).join('\n')}`)
      .action(async (options, command: Command) => (await import('./train.js')).train(task, options, command));
  }

  program
    .command('eval')
    .description('measure a model on data: perplexity, accuracy, F1 or mean squared error, as its task has it')
    .addArgument(pathArgument('<model>', 'model file'))
    .addOption(option('--data <path>', 'data in the form that the model was trained on', path).makeOptionMandatory())
    .addOption(
      option(
        '--split <name>',
        'valid or test (default: test, or valid where there is no test split)',
        oneOf(['valid', 'test']),
      ),
    )
    .addOption(json())
    .addHelpText('after', '\nExample:\n  $ dopant eval model.safetensors --data sotu --split valid')
    .action(async (model, options) => (await import('./eval.js')).evaluate(model, options));

  program
    .command('predict')
    .description('print what a model answers: an intent, slots, labels or numbers, as its task has it')
    .addArgument(pathArgument('<model>', 'model file'))
    .argument('<input>', `what the model reads: ${TASKS.flatMap(({ predictor }) => predictor?.reads ?? []).join(', ')}`)
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

  for (const command of TASKS.flatMap(({ commands }) => commands?.() ?? [])) {
    program.addCommand(command.copyInheritedSettings(program));
  }

  program
    .command('export')
    .description('write a small file of a model: choose fewer bits for its numbers by the loss they cause')
    .addArgument(pathArgument('<model>', 'model file'))
    .addOption(option('--data <path>', 'the data that it was trained on, as for train; optional with --bits', path))
    .addOption(
      option('--out <file>', 'model file to write; a gzip file if its name ends in .gz', path).makeOptionMandatory(),
    )
    .addOption(
      option(
        '--max-loss <x>',
        'largest loss on the validation split: relative growth of perplexity or squared error, or fall of accuracy or F1 (default: 0.01)',
        numberFrom(0),
      ),
    )
    .addOption(
      option(
        '--target <n>x',
        'how many times smaller than the dense f32 file it must be, whatever the loss, such as 20x',
        times,
      ),
    )
    .addOption(option('--bits <n>', 'use 8, 4, 3 or 2 bits for all numbers except factors (8) and biases (16)', bits))
    .addOption(json())
    .addHelpText(
      'after',
      `
Examples:
  $ dopant export model.safetensors --data sotu --out small.safetensors.gz
  $ dopant export model.safetensors --data sotu --target 20x --out small.safetensors.gz`,
    )
    .action(async (model, options) => (await import('./export.js')).exportModel(model, options));

  program
    .command('inspect')
    .description('print the contents of a model file, and how far it is compressed')
    .addArgument(pathArgument('<model>', 'model file'))
    .addOption(json())
    .addHelpText('after', '\nExample:\n  $ dopant inspect model.safetensors')
    .action(async (model, options) => (await import('./inspect.js')).inspect(model, options));

  program
    .command('experiment')
    .description('train a grid of models (methods, compressions, seeds), with tuning, in parallel, resumable')
    .addArgument(pathArgument('<grid>', 'JSON file'))
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
    "task": "${DEFAULT_TASK}",                                settings are the options of dopant train:
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
    .action(async (folders, options) => (await import('./report/records.js')).reportRecords(folders, options));

  return program;
}

/** How many times smaller: 20x or 20. */
const times: Parser<number> = (text, name) =>
  numberThat((n) => n >= 1, 'a number >= 1, such as 20x')(text.replace(/x$/, ''), name);

const bits: Parser<number> = (text, name) => Number(oneOf(['8', '4', '3', '2'])(text, name));

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
