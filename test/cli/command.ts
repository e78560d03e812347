// Runs the command line in a folder of its own: as its users do, in a process of its own, or here, which is a hundred
// times as fast.

import * as childProcess from 'node:child_process';
import { createHash } from 'node:crypto';
import { lstatSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import * as assert from 'uvu/assert';
import { runCommand } from '../../src/cli/program.js';
import { uniform } from '../../src/random.js';

export const MAIN = resolve('dist/cli/main.js');

export interface Outcome {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

const argumentsOf = (line: string, rest: readonly string[]) => [...line.split(' ').filter(Boolean), ...rest];

/** Starts `dopant` with the arguments of a line, divided at spaces, and such as hold spaces after it. */
export function start(folder: string, line: string, ...rest: string[]) {
  const args = [MAIN, ...argumentsOf(line, rest)];
  return childProcess.spawn(process.execPath, args, { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] });
}

/** What a started process comes to. */
export function end(child: ReturnType<typeof start>): Promise<Outcome> {
  const output = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text: string) => {
      output[name] += text;
    });
  }
  return new Promise((done, fail) => {
    child.on('error', fail);
    child.on('close', (code, signal) => done({ code, signal, ...output }));
  });
}

/** The same at one go. */
export function dopant(folder: string, line: string, ...rest: string[]): Promise<Outcome> {
  return end(start(folder, line, ...rest));
}

let busy = false;

/**
 * The same without a process of its own. For whatever depends on neither signals, workers, memory nor what only
 * src/cli/main.ts does.
 */
export async function dopantHere(folder: string, line: string, ...rest: string[]): Promise<Outcome> {
  assert.not.ok(busy, 'two commands in one process would share its folder and its output');
  busy = true;
  const output = { stdout: '', stderr: '' };
  const home = process.cwd();
  const restore = (['stdout', 'stderr'] as const).map((name) => {
    const stream = process[name];
    const { write, isTTY } = stream;
    stream.isTTY = false;
    stream.write = (data: string | Uint8Array, ...more: unknown[]) => {
      output[name] += typeof data === 'string' ? data : Buffer.from(data).toString();
      const written = more.at(-1);
      if (typeof written === 'function') written();
      return true;
    };
    return () => Object.assign(stream, { write, isTTY });
  });
  process.chdir(folder);
  try {
    return { code: await runCommand(argumentsOf(line, rest)), signal: null, ...output };
  } finally {
    process.chdir(home);
    for (const back of restore) back();
    busy = false;
  }
}

type Run = (folder: string, line: string, ...rest: string[]) => Promise<Outcome>;

/** Runs that must succeed. */
function succeedWith(run: Run) {
  const succeed: Run = async (folder, line, ...rest) => {
    const outcome = await run(folder, line, ...rest);
    assert.is(outcome.code, 0, `dopant ${line}: exit ${outcome.signal ?? outcome.code}, ${outcome.stderr}`);
    return outcome;
  };
  /** The object that --json puts on the last line of stdout, given here to any line. */
  async function json<Result>(folder: string, line: string): Promise<Result> {
    const { stdout } = await succeed(folder, `${line} --json`);
    return JSON.parse(stdout.trimEnd().split('\n').at(-1)!) as Result;
  }
  return { succeed, json };
}

export const { succeed, json } = succeedWith(dopantHere);

/** The same in a process of its own, as experiments need, which start workers. */
export const apart = succeedWith(dopant);

/** What a file holds, short enough to be printed when it is not what it should be. */
export function digest(path: string): string {
  return createHash('sha256').update(readFileSync(path)).digest('hex');
}

/** Every file below a folder with what it holds. */
export function contents(folder: string): Record<string, string> {
  const names = readdirSync(folder, { recursive: true }).map(String).sort();
  const read = (name: string) => {
    const path = join(folder, name);
    const found = lstatSync(path);
    if (found.isFile()) return digest(path);
    if (found.isSymbolicLink()) return `a link to ${readlinkSync(path)}`;
    return found.isDirectory() ? 'a folder' : 'neither file nor folder';
  };
  return Object.fromEntries(names.map((name) => [name, read(name)]));
}

const WORDS =
  'the quick brown fox jumps over a lazy dog while many small birds sing in tall green trees near our old river bank';

/** Sentences in which a word mostly follows from the one before: something to learn, even for eight units. */
export function makeText(words: number, seed = 1): string {
  const list = WORDS.split(' ');
  let word = 0;
  return Array.from({ length: words }, (_, i) => {
    const jump = uniform(seed, 0, i) < 0.1 ? Math.floor(uniform(seed, 1, i) * list.length) : 1;
    word = (3 * word + jump) % list.length;
    return list[word] + (i % 9 === 8 ? '.' : '');
  }).join(' ');
}

/** A new folder, gone when the process ends. */
export function makeFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'dopant-cli-'));
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
  return folder;
}
