import { readdir, realpath, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { InputError, invalid } from '../errors.js';
import { checkWritable } from '../io/files.js';
import { isClaim } from './experiment/claim.js';

/** A file that a command writes, and the option that names it. */
export interface Output {
  option: string;
  path: string;
}

/** A file that a command reads, or a folder in which it reads the files whose names match. */
export interface Input extends Output {
  reads?: (name: string) => boolean;
}

/**
 * Checks, before any work is done, that each output can be written, and that it is neither an input nor another output,
 * whatever their paths: symbolic links, hard links and names in another case are the same file. Throws an InputError that
 * names both options.
 */
export async function checkOutputs(outputs: readonly Output[], inputs: readonly Input[]): Promise<void> {
  await checkDistinct(outputs, inputs);
  for (const { option, path } of outputs) await naming(option, checkWritable(path));
}

/** Checks only that no output is an input or another output. */
export async function checkDistinct(outputs: readonly Output[], inputs: readonly Input[]): Promise<void> {
  const written = new Map<string, Output>();
  for (const output of outputs) {
    if (isClaim(output.path) || isClaim(await realpath(output.path).catch(() => ''))) {
      throw invalid(
        output.option,
        output.path,
        'another name: dopant marks the folders that it works in with such files',
      );
    }
    const place = await placeOf(output.path);
    const other = written.get(place);
    if (other) throw collision(output, other.option);
    written.set(place, output);
  }
  for (const input of new Map(inputs.map((input) => [input.path, input])).values()) {
    const folder = await idOf(input.path);
    if (folder === undefined) continue;
    for (const file of await filesOf(input)) {
      const output = written.get(file);
      if (output) throw collision(output, input.option);
    }
    for (const { option, path } of outputs) {
      // A new file that the next run would read.
      if (input.reads?.(basename(path)) && (await idOf(dirname(path))) === folder) {
        throw invalid(option, path, `a name that ${input.option} does not read in its folder`);
      }
    }
  }
}

const collision = ({ option, path }: Output, other: string) =>
  invalid(option, path, `another file than that of ${other}`);

/** Adds the name of the option to the error of an attempt. */
export async function naming<T>(option: string, attempt: Promise<T>): Promise<T> {
  return attempt.catch((error: Error) => {
    const { message, cause } = error;
    throw new (error instanceof InputError ? InputError : Error)(`${option}: ${message}`, { cause });
  });
}

/** An identifier that is the same for all paths of a file, even if the file does not exist yet. */
async function placeOf(path: string): Promise<string> {
  const found = await idOf(path);
  if (found !== undefined) return found;
  const folder = dirname(path);
  const name = basename(path).normalize();
  return join((await idOf(folder)) ?? folder, (await ignoresCase(folder)) ? name.toLowerCase() : name);
}

/** The device and number of a file or folder, the same for all its paths; undefined if it does not exist. */
async function idOf(path: string): Promise<string | undefined> {
  const found = await stat(path, { bigint: true }).catch(() => undefined);
  return found && `${found.dev}:${found.ino}`;
}

/** Whether a file system ignores the case of names. It is judged by the folder's own name. */
async function ignoresCase(folder: string): Promise<boolean> {
  const path = await realpath(folder).catch(() => folder);
  const name = basename(path);
  const other = name === name.toLowerCase() ? name.toUpperCase() : name.toLowerCase();
  const found = other === name ? undefined : await idOf(join(dirname(path), other));
  return found !== undefined && found === (await idOf(path));
}

async function filesOf({ path, reads }: Input): Promise<string[]> {
  const names = reads && (await readdir(path).catch(() => undefined));
  const paths = names ? names.filter(reads).map((name) => join(path, name)) : [path];
  return (await Promise.all(paths.map(idOf))).filter((id) => id !== undefined);
}
