// Files read and written whole, with errors that a person can act on.

import { createHash, randomBytes } from 'node:crypto';
import type { Stats } from 'node:fs';
import { mkdir, open, readdir, readFile, readlink, realpath, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join, sep } from 'node:path';
import { InputError } from '../errors.js';
import { isRunning, thisProcess } from './process.js';

/**
 * Writes a file whole or not at all: whatever fails, an older file of that name is left as it was and no other remains.
 * Throws InputError when the path is at fault, Error when the machine is; the message names the path and the cause.
 */
export async function writeFileAtomically(path: string, bytes: Uint8Array | string): Promise<void> {
  try {
    const { target, older } = await findTarget(path);
    const temporary = await writeTemporary(target, bytes, older && older.mode & 0o777);
    try {
      await rename(temporary, target);
    } catch (error) {
      await rm(temporary, { force: true }).catch(() => {});
      throw error;
    }
    await syncFolder(dirname(target));
  } catch (cause) {
    throw explained('write', path, cause);
  }
}

/** Makes a folder and those that it is in, and returns the outermost that was made; undefined where it was there. */
export async function makeFolder(path: string): Promise<string | undefined> {
  // Node's own recursion blames a missing folder for whatever goes wrong, such as a read-only disk.
  const parent = dirname(path);
  const made = path === '' || parent === path || (await exists(parent)) ? undefined : await makeFolder(parent);
  try {
    await mkdir(path);
    return made ?? path;
  } catch (cause) {
    const there = await stat(path).catch(() => undefined);
    if (there?.isDirectory()) return made;
    throw explained('make', path, cause);
  }
}

const exists = (path: string) =>
  stat(path).then(
    () => true,
    () => false,
  );

/** Throws what writeFileAtomically would throw for this path, and leaves everything as it was. */
export async function checkWritable(path: string): Promise<void> {
  try {
    const { target, older } = await findTarget(path);
    if (older) await (await open(target, 'r+')).close();
    await rm(await writeTemporary(target, ''));
  } catch (cause) {
    throw explained('write', path, cause);
  }
}

/** The whole file. Throws InputError, naming the path, when there is no such file or it cannot be read. */
export async function readFileBytes(path: string): Promise<Uint8Array> {
  try {
    // To open a pipe or a terminal could take forever.
    checkRegular(await stat(path));
    const { buffer, byteOffset, byteLength } = await readFile(path);
    return new Uint8Array(buffer, byteOffset, byteLength);
  } catch (cause) {
    throw explained('read', path, cause);
  }
}

/**
 * Writes a new file beside the target, from where it can be renamed, which is atomic only within a folder. Those that
 * dead processes left of the same target are removed.
 */
export async function writeTemporary(target: string, bytes: Uint8Array | string, mode = 0o666): Promise<string> {
  const { pid, start = '' } = thisProcess;
  const folder = dirname(target);
  const prefix = `.${shortName(basename(target))}.`;
  await removeAbandoned(folder, prefix).catch(() => {});
  const temporary = join(folder, `${prefix}${pid}-${start}-${HOST}-${randomBytes(4).toString('hex')}.tmp`);
  const file = await open(temporary, 'wx', mode);
  try {
    await file.writeFile(bytes);
    // Otherwise a power cut soon after the rename could leave the new name on an empty file.
    await file.sync();
    await file.close();
  } catch (error) {
    await file.close().catch(() => {});
    await rm(temporary, { force: true }).catch(() => {});
    throw error;
  }
  return temporary;
}

const hash = (text: string) => createHash('sha256').update(text).digest('hex');

const HOST = hash(thisProcess.host).slice(0, 8);
const TEMPORARY = /^(\d+)-(\d*)-([0-9a-f]{8})-[0-9a-f]{8}\.tmp$/;

/** How long a file of another machine must have been untouched to be abandoned. */
const ABANDONED_MS = 3_600_000;

/** Where the name itself just fits, that of the temporary file must fit too. */
const shortName = (name: string) => (Buffer.byteLength(name) <= 60 ? name : hash(name).slice(0, 40));

async function removeAbandoned(folder: string, prefix: string): Promise<void> {
  for (const name of await readdir(folder)) {
    const parts = name.startsWith(prefix) && TEMPORARY.exec(name.slice(prefix.length));
    if (!parts) continue;
    const [, pid, start, host] = parts;
    const owner = { host: host === HOST ? thisProcess.host : host, pid: Number(pid), ...(start && { start }) };
    const path = join(folder, name);
    const running = isRunning(owner) ?? Date.now() - (await stat(path)).mtimeMs < ABANDONED_MS;
    if (!running) await rm(path, { force: true });
  }
}

/** The file that a path leads to, and what is there. Throws InputError for what is no file, or must not be replaced. */
async function findTarget(path: string): Promise<{ target: string; older: Stats | undefined }> {
  if (path === '') throw new InputError('the name is empty');
  if (path.endsWith('/') || path.endsWith(sep)) throw new InputError('it names a folder');
  const older = await stat(path).catch(async (error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
    const link = await readlink(path).catch(() => undefined);
    if (link !== undefined) throw new InputError(`it is a link to ${link}, which does not exist`);
    return undefined;
  });
  if (!older) return { target: path, older };
  checkRegular(older);
  // A rename asks the folder alone.
  if ((older.mode & 0o222) === 0) throw new InputError('it is read-only');
  // Followed here because a rename would replace the link itself.
  return { target: await realpath(path), older };
}

function checkRegular(found: Stats): void {
  if (!found.isFile()) throw new InputError(`it is ${found.isDirectory() ? 'a folder' : 'not a regular file'}`);
}

/** Only then is a rename sure to outlive a power cut. Not every system can do it. */
async function syncFolder(path: string): Promise<void> {
  try {
    const folder = await open(path, 'r');
    await folder.sync().finally(() => folder.close());
  } catch {}
}

/** The error for what went wrong with a path: an InputError where the path is at fault. */
export function explained(verb: 'read' | 'write' | 'make', path: string, cause: unknown): Error {
  const { code = '', message } = cause as NodeJS.ErrnoException;
  const missing = verb === 'read' ? 'there is no such file' : `the folder ${dirname(path)} does not exist`;
  const faultsOfThePath: Record<string, string> = {
    ENOENT: missing,
    ENOTDIR: `${dirname(path)} is not a folder`,
    EEXIST: 'it is not a folder',
    EISDIR: 'it is a folder',
    EACCES: 'permission denied',
    EPERM: 'permission denied',
    EROFS: 'the disk is read-only',
    ENAMETOOLONG: 'the name is too long',
    ELOOP: 'its links lead in a circle',
    ETXTBSY: 'it is a program that runs',
    ERR_INVALID_ARG_VALUE: 'no file can have this name',
  };
  const faultsOfTheMachine: Record<string, string> = {
    ENOSPC: 'the disk is full',
    EDQUOT: 'your disk quota is used up',
    EMFILE: 'too many files are open',
  };
  const reason = faultsOfThePath[code] ?? faultsOfTheMachine[code] ?? message;
  const atFault = verb === 'read' || code in faultsOfThePath || cause instanceof InputError;
  return new (atFault ? InputError : Error)(`cannot ${verb} ${path}: ${reason}`, { cause });
}
