// Reads and writes whole files, with errors that a person can act on.

import { createHash, randomBytes } from 'node:crypto';
import { existsSync, type Stats } from 'node:fs';
import { mkdir, open, readdir, readFile, readlink, realpath, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join, sep } from 'node:path';
import { InputError } from '../errors.js';
import { isRunning, thisProcess } from './process.js';

/**
 * Writes a file completely or not at all: if anything fails, an older file is left as it was, and no temporary file remains.
 * Throws InputError if the path is at fault, Error if the machine is; the message names the path and the cause.
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

/** Makes a folder and its parents. Returns the outermost one that was made; undefined if the folder exists. */
export async function makeFolder(path: string): Promise<string | undefined> {
  // Node's recursive mkdir reports a missing folder when the disk is read-only.
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

/** Throws the error that writeFileAtomically would throw for this path, and changes nothing. */
export async function checkWritable(path: string): Promise<void> {
  try {
    const { target, older } = await findTarget(path);
    if (older) await (await open(target, 'r+')).close();
    await rm(await writeTemporary(target, ''));
  } catch (cause) {
    throw explained('write', path, cause);
  }
}

/** Reads a whole file. Throws an InputError that names the path if it cannot be read or is not a regular file. */
export async function readFileBytes(path: string): Promise<Uint8Array> {
  try {
    // Opening a pipe or a terminal could block forever.
    checkRegular(await stat(path));
    const { buffer, byteOffset, byteLength } = await readFile(path);
    return new Uint8Array(buffer, byteOffset, byteLength);
  } catch (cause) {
    throw explained('read', path, cause);
  }
}

/**
 * Writes a temporary file beside the target, ready to be renamed to it: a rename is atomic only within a file system.
 * Removes the temporary files of the same target that ended processes left behind.
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
    // Otherwise a power failure soon after the rename could leave an empty file.
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

/** A temporary file of another machine is abandoned when it has not changed for so long. */
const ABANDONED_MS = 3_600_000;

/** Short enough that the name of the temporary file fits wherever the name of the target does. */
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

/** Resolves the links of a path, and finds the file there. Throws InputError for what must not be replaced. */
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
  // A rename does not check the permissions of the file.
  if ((older.mode & 0o222) === 0) throw new InputError('it is read-only');
  // A rename would replace the link itself.
  return { target: await realpath(path), older };
}

function checkRegular(found: Stats): void {
  if (!found.isFile()) throw new InputError(`it is ${found.isDirectory() ? 'a folder' : 'not a regular file'}`);
}

/** Makes a rename survive a power failure, on systems that can synchronise a folder. */
async function syncFolder(path: string): Promise<void> {
  try {
    const folder = await open(path, 'r');
    await folder.sync().finally(() => folder.close());
  } catch {}
}

/** Explains the error of a path: an InputError if the path is at fault. */
export function explained(verb: 'read' | 'write' | 'make', path: string, cause: unknown): Error {
  const { code = '', message } = cause as NodeJS.ErrnoException;
  // In a folder such as /proc no file can be made.
  const noFolder = existsSync(dirname(path))
    ? 'no such file can be made'
    : `the folder ${dirname(path)} does not exist`;
  const missing = verb === 'read' ? 'there is no such file' : noFolder;
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
