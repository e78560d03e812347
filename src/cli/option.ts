import { Argument, Option } from 'commander';
import { type Parser, path } from './parsers.js';

/** An option whose value is made by a parser, or is the text itself. */
export function option(flags: string, description: string, parse?: Parser<unknown>): Option {
  const made = new Option(flags, description);
  return parse ? made.argParser((text) => parse(text, made.long!)) : made;
}

/** An argument that is a path. */
export const pathArgument = (name: string, description: string) =>
  new Argument(name, description).argParser((text) => path(text, name));

export const json = () => option('--json', 'print the result as one JSON object on the last line of stdout');
