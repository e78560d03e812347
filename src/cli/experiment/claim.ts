import { randomUUID } from 'node:crypto';
import { link, lstat, open, readFile, rm, rmdir, utimes } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { InputError } from '../../errors.js';
import { explained, makeFolder, writeTemporary } from '../../io/files.js';
import { isRunning, type ProcessId, thisProcess } from '../../io/process.js';
import { isObject } from '../../values.js';

// Several processes, on several machines, may use one folder of records or checkpoints. A process that works in a folder
// keeps a file there, and touches it while it runs.

const BEAT_MS = 30_000;
const STALE_MS = 10 * BEAT_MS;

/** The name of that file. */
export const CLAIM_FILE = '.claim';

/** Whether a claim is, or may become, the file of a path. No output may have such a name: a claim would replace it. */
export const isClaim = (path: string) => /^\.claim(\.next)*$/i.test(basename(path));

export interface Claim {
  release(): Promise<void>;
}

interface Holder extends ProcessId {
  /** Identifies this claim. */
  owner: string;
}

/** Claims a folder, which is made if it does not exist. Returns undefined if another process works there. */
export async function claim(folder: string): Promise<Claim | undefined> {
  const path = join(folder, CLAIM_FILE);
  const mine: Holder = { ...thisProcess, owner: randomUUID() };
  let made: string | undefined;
  const attempt = async () => {
    made = (await makeFolder(folder)) ?? made;
    return acquire(path, JSON.stringify(mine)).catch((cause) => {
      throw explained('write', path, cause);
    });
  };
  // The last holder may just have removed the folder.
  const won = await attempt()
    .catch((error) => (codeOf(error.cause) === 'ENOENT' ? attempt() : Promise.reject(error)))
    .catch(async (error) => {
      if (made !== undefined) await removeEmpty(folder, made);
      throw error;
    });
  if (!won) return undefined;
  const timer = setInterval(() => {
    const now = new Date();
    utimes(path, now, now).catch(() => {});
  }, BEAT_MS);
  timer.unref();
  return {
    async release() {
      clearInterval(timer);
      const now = await read(path).catch(() => undefined);
      if (now?.holder?.owner === mine.owner) await rm(path, { force: true });
      if (made !== undefined) await removeEmpty(folder, made);
    },
  };
}

/** The process that works in a folder, in words. */
export async function holderOf(folder: string): Promise<string> {
  const { holder } = (await read(join(folder, CLAIM_FILE)).catch(() => undefined)) ?? {};
  if (!holder) return 'another process';
  return `process ${holder.pid}${holder.host === thisProcess.host ? '' : ` on ${holder.host}`}`;
}

/** Creates the file, replacing one whose process has ended; false if that process still runs. */
async function acquire(path: string, text: string): Promise<boolean> {
  while (!(await create(path, text))) {
    const state = await stateOf(path);
    if (state === 'held') return false;
    if (state === 'free') continue;
    // Only the holder of this file, which is claimed in the same way, may remove an abandoned one.
    const guard = `${path}.next`;
    if (await acquire(guard, text)) {
      // Another process may have replaced it in the meantime.
      if ((await stateOf(path)) === 'abandoned') await rm(path, { force: true });
      await rm(guard, { force: true });
    } else {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }
  return true;
}

/** Creates the file, complete from its first moment on; false if it exists. */
async function create(path: string, text: string): Promise<boolean> {
  try {
    const temporary = await writeTemporary(path, text);
    try {
      await link(temporary, path).catch(async (error) => {
        if (codeOf(error) === 'EEXIST') throw error;
        // Some file systems have no hard links.
        const file = await open(path, 'wx');
        await file.writeFile(text).finally(() => file.close());
      });
    } finally {
      await rm(temporary, { force: true });
    }
    return true;
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false;
    throw error;
  }
}

/** Abandoned: the process has ended, or has not touched the file for long, or the file names no process. */
async function stateOf(path: string): Promise<'free' | 'held' | 'abandoned'> {
  const found = await read(path);
  if (!found) return 'free';
  const held = found.holder && (isRunning(found.holder) ?? found.age < STALE_MS);
  return held ? 'held' : 'abandoned';
}

/** Reads a claim and its age in milliseconds; undefined if there is none. */
async function read(path: string): Promise<{ holder: Holder | undefined; age: number } | undefined> {
  try {
    const found = await lstat(path);
    if (found.isDirectory()) throw new InputError('it is a folder');
    const text = found.isFile() ? await readFile(path, 'utf8') : '';
    return { holder: parse(text), age: Date.now() - found.mtimeMs };
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

function parse(text: string): Holder | undefined {
  try {
    const value: unknown = JSON.parse(text);
    if (!isObject(value)) return undefined;
    const { host, pid, start, owner } = value;
    if (typeof host !== 'string' || typeof pid !== 'number' || typeof owner !== 'string') return undefined;
    return { host, pid, owner, ...(typeof start === 'string' && { start }) };
  } catch {
    return undefined;
  }
}

/** Removes the folders that were made for a claim, from the innermost to `outermost`, as far as they are empty. */
async function removeEmpty(folder: string, outermost: string): Promise<void> {
  try {
    for (let path = resolve(folder); path.startsWith(resolve(outermost)); path = dirname(path)) await rmdir(path);
  } catch {}
}

const codeOf = (error: unknown) => (error as NodeJS.ErrnoException | undefined)?.code;
