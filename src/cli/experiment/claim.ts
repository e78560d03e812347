import { randomUUID } from 'node:crypto';
import { mkdir, open, readFile, rm, stat, utimes } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';

// Several processes, on several machines, may work on one folder: who works on a run holds a file in its scratch folder,
// and touches it as long as it lives. What goes wrong beyond that costs time, not truth: records are written whole.

const BEAT_MS = 30_000;
const STALE_MS = 10 * BEAT_MS;
const WRITING_MS = 2000;

/** Process numbers come again, in containers soon. */
const OWNER = randomUUID();

export interface Claim {
  release(): Promise<void>;
}

/** Claims a run's scratch folder, which is made; undefined when someone else is at work there. */
export async function claim(folder: string): Promise<Claim | undefined> {
  const path = join(folder, 'claim');
  await mkdir(folder, { recursive: true });
  if (!(await create(path))) {
    if (!(await isAbandoned(path))) return undefined;
    await rm(path, { force: true });
    if (!(await create(path))) return undefined;
  }
  const timer = setInterval(() => {
    const now = new Date();
    utimes(path, now, now).catch(() => {});
  }, BEAT_MS);
  timer.unref();
  return {
    async release() {
      clearInterval(timer);
      await rm(path, { force: true });
    },
  };
}

async function create(path: string): Promise<boolean> {
  try {
    const file = await open(path, 'wx');
    await file.writeFile(JSON.stringify({ host: hostname(), pid: process.pid, owner: OWNER }));
    await file.close();
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

async function isAbandoned(path: string): Promise<boolean> {
  try {
    const age = Date.now() - (await stat(path)).mtimeMs;
    if (age > STALE_MS) return true;
    const text = await readFile(path, 'utf8');
    // Its owner was about to write it, and may have been killed there.
    if (text === '') return age > WRITING_MS;
    const { host, pid, owner } = JSON.parse(text);
    return host === hostname() && (pid === process.pid ? owner !== OWNER : !isAlive(pid));
  } catch {
    // Just gone: the next look will tell.
    return false;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
