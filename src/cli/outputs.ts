import { readdir, realpath, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { InputError, invalid } from '../errors.js';
import { checkWritable } from '../io/files.js';

/** A file that a command writes, and the option that names it. */
export interface Output {
  option: string;
  path: string;
}

/** A file that a command reads; or a folder, of which it reads the files with such names. */
export interface Input extends Output {
  reads?: (name: string) => boolean;
}

/**
 * Checks, before any work is done, that each output can be written, and that no two outputs, and no output and input, are
 * the same file, whatever their paths: links of both kinds and names in another case are seen through. Throws InputError
 * with the names of both options.
 */
export async function checkOutputs(outputs: readonly Output[], inputs: readonly Input[]): Promise<void> {
  await checkDistinct(outputs, inputs);
  for (const { option, path } of outputs) await naming(option, checkWritable(path));
}

/** The same for outputs of which it is known, or does not matter, whether they can be written. */
export async function checkDistinct(outputs: readonly Output[], inputs: readonly Input[]): Promise<void> {
  const written = new Map<string, Output>();
  for (const output of outputs) {
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
      // A new file, which would be read the next time.
      if (input.reads?.(basename(path)) && (await idOf(dirname(path))) === folder) {
        throw invalid(option, path, `a name that ${input.option} does not read in its folder`);
      }
    }
  }
}

const collision = ({ option, path }: Output, other: string) =>
  invalid(option, path, `another file than that of ${other}`);

/** What is wrong with a path is told with the option that gave it. */
export async function naming<T>(option: string, attempt: Promise<T>): Promise<T> {
  return attempt.catch((error: Error) => {
    const { message, cause } = error;
    throw new (error instanceof InputError ? InputError : Error)(`${option}: ${message}`, { cause });
  });
}

/** The same for two paths of one file, or of one file that is still to be made. */
async function placeOf(path: string): Promise<string> {
  const found = await idOf(path);
  if (found !== undefined) return found;
  const folder = dirname(path);
  const name = basename(path).normalize();
  return join((await idOf(folder)) ?? folder, (await ignoresCase(folder)) ? name.toLowerCase() : name);
}

/** The same for all paths of a file or folder: its device and number; undefined where there is none. */
async function idOf(path: string): Promise<string | undefined> {
  const found = await stat(path, { bigint: true }).catch(() => undefined);
  return found && `${found.dev}:${found.ino}`;
}

/** Whether names that differ in case are the same; what holds for the folder's own name is taken to hold inside. */
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
