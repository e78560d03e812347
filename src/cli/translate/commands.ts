import { Command } from 'commander';
import { json, option, pathArgument } from '../option.js';
import { path, whole } from '../parsers.js';

/** The commands for models of translation alone; each loads its code when it runs. */
export const commands = (): Command[] => [
  new Command('translate')
    .description('translate a text, or what is piped in, line by line')
    .addArgument(pathArgument('<model>', 'model file'))
    .argument('[text]', 'what to translate; without it, the lines of stdin')
    .addOption(
      option(
        '--beam <n>',
        'translations that are followed side by side; 1 always takes the most likely token',
        whole(1),
      ).default(4),
    )
    .addOption(option('--report <file>', 'write an HTML page that shows what each token attended to', path))
    .addOption(json())
    .addHelpText(
      'after',
      '\nExamples:\n  $ dopant translate de-en.safetensors "ein mann liest ein buch ."\n  $ dopant translate de-en.safetensors --beam 1 < texts.de > texts.en',
    )
    .action(async (model, text, options) => (await import('./translate.js')).translate(model, text, options)),
];
