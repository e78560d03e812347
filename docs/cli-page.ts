// docs/cli.md, from the help of the commands themselves.

import type { Command } from 'commander';
import { createProgram } from '../src/cli/program.js';

const WIDTH = 110;

/** The command and those below it that do something, with their full names. */
function* leaves(command: Command, before = ''): Generator<[string, Command]> {
  const name = before ? `${before} ${command.name()}` : command.name();
  if (command.commands.length === 0) yield [name, command];
  for (const child of command.commands) yield* leaves(child, name);
}

/** What `--help` prints, as Markdown. */
export function cliPage(): string {
  const program = createProgram();
  const commands = [...leaves(program)];
  const sections = commands.map(([name, command]) => {
    let help = '';
    command.configureOutput({
      writeOut: (text) => (help += text),
      getOutHelpWidth: () => WIDTH,
      getOutHasColors: () => false,
    });
    command.outputHelp();
    return `## ${name}\n\n\`\`\`text\n${help.trimEnd()}\n\`\`\``;
  });
  const link = ([name]: [string, Command]) => `[${name}](#${name.replaceAll(' ', '-')})`;
  return `${[
    '# Command line',
    'What `--help` prints for each command. `npm run docs` writes this page.',
    'Exit codes: 0 success, 1 failure, 2 wrong usage. Results go to stdout, progress and messages to stderr; with `--json`, the last line of stdout is one JSON object.',
    commands.map(link).join(' · '),
    ...sections,
  ].join('\n\n')}\n`;
}
