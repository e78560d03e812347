import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';

/** A process among all, also when another later gets its number. */
export interface ProcessId {
  host: string;
  pid: number;
  /** When it started, in the clock ticks of its machine; left out where the system does not tell. */
  start?: string;
}

export const thisProcess: Readonly<ProcessId> = {
  host: hostname(),
  pid: process.pid,
  start: statusOf(process.pid)?.start,
};

/** Whether a process still runs; undefined where this machine cannot know. */
export function isRunning({ host, pid, start }: ProcessId): boolean | undefined {
  if (host !== thisProcess.host) return undefined;
  if (!Number.isSafeInteger(pid) || pid <= 0 || !exists(pid)) return false;
  const status = statusOf(pid);
  // A killed process stays in the list until its parent asks for its exit code.
  if (status?.ended) return false;
  return status === undefined || start === undefined ? undefined : status.start === start;
}

function exists(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** From /proc/PID/stat, which only Linux has: fields 3 and 22, counted behind the name, which may hold anything. */
function statusOf(pid: number): { start: string; ended: boolean } | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    return { start: fields[19], ended: /[ZX]/.test(fields[0]) };
  } catch {
    return undefined;
  }
}
