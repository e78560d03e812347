// Files read and written whole, with errors that a person can act on.

import { randomUUID } from 'node:crypto';
import { open, readFile, realpath, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { InputError } from '../errors.js';

/**
 * Writes a file whole or not at all: whatever fails, an older file of that name is left as it was and no other remains.
 * Throws InputError when the path is at fault, Error when the machine is; the message names the path and the cause.
 */
export async function writeFileAtomically(path: string, bytes: Uint8Array | string): Promise<void> {
  // Followed here because a rename would replace the link itself.
  const target = await realpath(path).catch(() => path);
  const older = await stat(target).catch(() => undefined);
  if (older && !older.isFile()) {
    throw new InputError(`cannot write ${path}: it is ${older.isDirectory() ? 'a folder' : 'not a regular file'}`);
  }
  try {
    await writeAndRename(target, bytes, older && older.mode & 0o777);
  } catch (cause) {
    throw explained('write', path, cause);
  }
}

/** The whole file. Throws InputError, naming the path, when there is no such file or it cannot be read. */
export async function readFileBytes(path: string): Promise<Uint8Array> {
  try {
    const { buffer, byteOffset, byteLength } = await readFile(path);
    return new Uint8Array(buffer, byteOffset, byteLength);
  } catch (cause) {
    throw explained('read', path, cause);
  }
}

async function writeAndRename(target: string, bytes: Uint8Array | string, mode = 0o666): Promise<void> {
  // In the same folder: a rename is atomic only within one file system.
  const temporary = join(dirname(target), `.${randomUUID()}.tmp`);
  try {
    const file = await open(temporary, 'wx', mode);
    try {
      await file.writeFile(bytes);
      // Otherwise a power cut soon after the rename could leave the new name on an empty file.
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, target);
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => {});
    throw error;
  }
}

function explained(verb: 'read' | 'write', path: string, cause: unknown): Error {
  const { code = '', message } = cause as NodeJS.ErrnoException;
  const missing = verb === 'read' ? 'there is no such file' : `the folder ${dirname(path)} does not exist`;
  const faultsOfThePath: Record<string, string> = {
    ENOENT: missing,
    ENOTDIR: `${dirname(path)} is not a folder`,
    EISDIR: 'it is a folder',
    EACCES: 'permission denied',
    EPERM: 'permission denied',
    EROFS: 'the disk is read-only',
    ENAMETOOLONG: 'the name is too long',
  };
  const faultsOfTheMachine: Record<string, string> = {
    ENOSPC: 'the disk is full',
    EDQUOT: 'your disk quota is used up',
    EMFILE: 'too many files are open',
  };
  const reason = faultsOfThePath[code] ?? faultsOfTheMachine[code] ?? message;
  const ErrorType = verb === 'read' || code in faultsOfThePath ? InputError : Error;
  return new ErrorType(`cannot ${verb} ${path}: ${reason}`, { cause });
}
