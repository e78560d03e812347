import { Command } from 'commander';
import { json, option, pathArgument } from '../option.js';
import { numberFrom, numberThat, path, whole } from '../parsers.js';

/** --data of the commands that read text. */
export const data = () =>
  option(
    '--data <path>',
    "text file, folder of .txt files, folder with {train,valid,test}.txt or ptb.{train,valid,test}.txt, or 'sotu' (the State of the Union addresses)",
    path,
  );

/** The commands for language models alone; each loads its code when it runs. */
export const commands = (): Command[] => [
  new Command('generate')
    .description('generate text')
    .addArgument(pathArgument('<model>', 'model file'))
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
    .action(async (model, options) => (await import('./generate.js')).generateText(model, options)),
  new Command('demo')
    .description('train a dense, a doped and a small model side by side, and compare them')
    .addArgument(pathArgument('[folder]', 'folder for the models and the page').default('models'))
    .action(async (folder) => (await import('./demo.js')).demo(folder)),
];
