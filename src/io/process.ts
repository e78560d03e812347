import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';

/** Identifies a process, even if another one later gets its number. */
export interface ProcessId {
  host: string;
  pid: number;
  /** When it started, in clock ticks of its machine; undefined if the system does not say. */
  start?: string;
}

export const thisProcess: Readonly<ProcessId> = {
  host: hostname(),
  pid: process.pid,
  start: statusOf(process.pid)?.start,
};

/** Whether a process still runs; undefined if this machine cannot know. */
export function isRunning({ host, pid, start }: ProcessId): boolean | undefined {
  if (host !== thisProcess.host) return undefined;
  if (!Number.isSafeInteger(pid) || pid <= 0 || !exists(pid)) return false;
  const status = statusOf(pid);
  // An ended process stays in the list until its parent asks for its exit code.
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

/** Reads fields 3 and 22 of /proc/PID/stat, which only Linux has. They follow the name, which may contain anything. */
function statusOf(pid: number): { start: string; ended: boolean } | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    return { start: fields[19], ended: /[ZX]/.test(fields[0]) };
  } catch {
    return undefined;
  }
}
