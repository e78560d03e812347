// Signals that ask a command to stop, whatever it is doing.

import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { languageModelTask } from '../../src/cli/lm/task.js';
import { startBars, startJobs, startProgress } from '../../src/cli/progress.js';
import { Interrupted, StopSignals, stoppable } from '../../src/cli/stopping.js';
import type { TrainArguments } from '../../src/cli/train-options.js';
import {
  type Outcome,
  resumeTraining,
  runTraining,
  type StepReport,
  type TrainResult,
} from '../../src/cli/training.js';
import { uniform } from '../../src/random.js';
import { contents, digest, dopantHere, end, makeFolder, makeText, start, succeed } from './command.js';

const folder = makeFolder();
const path = (...names: string[]) => join(folder, ...names);
writeFileSync(path('text.txt'), makeText(3000));
// Evaluations of several parts.
mkdirSync(path('ptb'));
for (const [split, words] of [
  ['train', 700],
  ['valid', 3000],
  ['test', 3000],
] as const) {
  writeFileSync(path('ptb', `ptb.${split}.txt`), makeText(words).replaceAll('.', '\n'));
}

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

// ---- a stop in every part of a run

const { source, options } = languageModelTask.start({
  data: path('ptb'),
  hidden: 8,
  batch: 4,
  bptt: 8,
  compression: 5,
  epochs: 2,
  cmr: 0.2,
  anneal: '0.1,0.8',
  pruneEvery: 3,
} as TrainArguments);
const places = (out: string) => ({ checkpoint: path(`${out}'s run`), checkpointEvery: 60, out: path(out) });
const nothing = { announce() {}, step() {}, evaluating() {} };

/** Starts the run, or goes on with it, and asks for a stop after so many parts. */
async function runFor(parts: number, out: string): Promise<Outcome | Error> {
  let left = parts;
  const watcher = { ...nothing, interrupted: () => left-- <= 0 };
  const there = places(out);
  mkdirSync(there.checkpoint, { recursive: true });
  try {
    return existsSync(join(there.checkpoint, 'checkpoint.safetensors'))
      ? await resumeTraining(languageModelTask, there.checkpoint, {}, () => there, watcher)
      : await runTraining(languageModelTask, source, options, there, watcher);
  } catch (error) {
    return error as Error;
  }
}

let whole: Outcome;
test.before(async () => {
  whole = (await runFor(Number.POSITIVE_INFINITY, 'whole')) as Outcome;
  assert.equal(whole.problems, [], `${whole}`);
});

for (const seed of [1, 2, 3, 4]) {
  test(`a run that is stopped time and again, in any part, ends with the same bits: ${seed}`, async () => {
    const out = `stopped${seed}`;
    let stops = 0;
    for (let i = 0; ; i++) {
      assert.ok(i < 100);
      const outcome = await runFor(Math.floor(40 * uniform(seed, 0, i)), out);
      if (!(outcome instanceof Error)) {
        const { result, records, problems } = outcome;
        assert.equal(records, whole.records);
        assert.equal(result.valid, whole.result.valid);
        // The evaluation of the test split starts anew each time.
        const stopped = `stopped in the evaluation of the test split; the model is in ${path(out)}; go on with: `;
        const told = problems.map(({ message }) => message.slice(0, stopped.length));
        assert.equal([result.test, told], told.length ? [undefined, [stopped]] : [whole.result.test, []]);
        break;
      }
      assert.instance(outcome, Interrupted, outcome.stack);
      if (outcome.message === 'stopped before the first step; nothing was written') continue;
      // Quoted as a shell wants it.
      assert.ok(
        outcome.message.endsWith(` go on with: dopant train lm --resume '${path(out)}'\\''s run'`),
        outcome.message,
      );
      stops++;
    }
    assert.ok(stops >= 4, `${stops}`);
    assert.is(digest(path(out)), digest(path('whole')));
  });
}

test('a stop while the matrices of a model are decomposed comes through', async () => {
  const from = path('whole');
  const start = languageModelTask.start({
    data: path('ptb'),
    from,
    hidden: 8,
    batch: 4,
    bptt: 8,
    method: 'doped-lmf',
    compression: 2,
  } as TrainArguments);
  for (const parts of [0, 1, 5, 30]) {
    let left = Number.POSITIVE_INFINITY;
    const watcher = {
      ...nothing,
      announce(text: string) {
        if (text.startsWith('decomposing ')) left = parts;
      },
      interrupted: () => left-- <= 0,
    };
    const there = { checkpointEvery: 60, out: path('decomposed') };
    const outcome = await runTraining(languageModelTask, start.source, start.options, there, watcher).catch(
      (error) => error,
    );
    assert.instance(outcome, Interrupted);
    assert.is(outcome.message, 'stopped before the first step; nothing was written');
    assert.not.ok(existsSync(there.out));
  }
});

test('a stop in the last evaluation of the validation split leaves the model', async () => {
  let now: StepReport | undefined;
  let stop = false;
  const watcher = {
    ...nothing,
    step(report: StepReport) {
      now = report;
    },
    evaluating() {
      stop = now!.done === now!.total;
    },
    interrupted: () => stop,
  };
  const there = { checkpointEvery: 60, out: path('unmeasured') };
  const outcome = await runTraining(languageModelTask, source, options, there, watcher).catch((error) => error);
  assert.instance(outcome, Interrupted);
  assert.is(outcome.message, `stopped at step ${now!.total} of ${now!.total}; the model is in ${path('unmeasured')}`);
  assert.is(digest(path('unmeasured')), digest(path('whole')));
});

// ---- commands and their signals

/** Sends a signal at the first turn of the event loop at which `ready` holds. */
function signalWhen(signal: NodeJS.Signals, ready: () => boolean): void {
  const look = () => (ready() ? process.emit(signal) : setImmediate(look).unref());
  look();
}

const LONG = `train lm --data ptb --hidden 8 --method dense --epochs 1 --batch 4 --bptt 8`;

test('a stop in the evaluation of the test split leaves the model and all other results', async () => {
  await succeed(folder, `${LONG} --out model --records model.json`);
  signalWhen('SIGTERM', () => existsSync(path('untested')));
  const line = `${LONG} --out untested --records untested.json --report untested.html --json`;
  const { code, stdout, stderr } = await dopantHere(folder, line);
  assert.is(code, 1, stderr);
  assert.match(stderr, /\ndopant: stopped in the evaluation of the test split; the model is in untested\n$/);
  assert.is(digest(path('untested')), digest(path('model')));
  assert.is(digest(path('untested.json')), digest(path('model.json')));
  assert.ok(existsSync(path('untested.html')));
  const { valid, test } = JSON.parse(stdout) as TrainResult;
  assert.ok(valid.perplexity! > 1);
  assert.is(test, undefined);
});

test('eval, export and experiment stop too', async () => {
  writeFileSync(path('grid.json'), JSON.stringify({ settings: { data: 'ptb' }, cells: [{ method: 'dense' }] }));
  const before = contents(folder);
  for (const line of [
    'eval model --data ptb',
    'export model --bits 8 --data ptb --out exported',
    'experiment grid.json',
  ]) {
    signalWhen('SIGHUP', () => process.listenerCount('SIGHUP') > 0);
    const { code, stdout, stderr } = await dopantHere(folder, line);
    assert.is(code, 1, stderr);
    assert.is(stdout, '');
    assert.match(stderr, /^dopant: stopped/, line);
    assert.is(process.listenerCount('SIGHUP'), 0);
  }
  assert.equal(contents(folder), before);
});

for (const signal of ['SIGTERM', 'SIGHUP'] as const) {
  test(`${signal} stops a run as Ctrl-C does`, async () => {
    const child = start(folder, `${LONG} --epochs 99 --out ${signal} --checkpoint ${signal}.run`);
    const ended = end(child);
    await new Promise<void>((resolve) => {
      child.stderr.on('data', (text: string) => text.includes('memory:') && resolve());
    });
    child.kill(signal);
    const { code, signal: killed } = await ended;
    assert.equal([code, killed], [1, null]);
    assert.equal(readdirSync(path(`${signal}.run`)), ['checkpoint.safetensors']);
  });
}

test('the demo stops, and goes on where it was', async () => {
  const child = start(folder, 'demo demo');
  const ended = end(child);
  await once(child.stderr, 'data');
  child.kill('SIGTERM');
  const { code, signal, stderr } = await ended;
  assert.equal([code, signal], [1, null], stderr);
  assert.match(stderr, /dopant: stopped; the same command goes on where it stopped\n$/);
});

test('signals come through to work that never rests', async () => {
  const signals = new StopSignals();
  let parts = 0;
  const work = function* () {
    for (;;) {
      parts++;
      yield 0;
    }
  };
  let closed = false;
  const closing = function* () {
    try {
      yield* work();
    } finally {
      closed = true;
    }
  };
  const given = stoppable(closing(), signals.interrupted, () => {
    if (parts === 1) setImmediate(() => process.emit('SIGINT'));
  });
  assert.instance(await given.catch((error) => error), Interrupted);
  assert.ok(parts > 1 && closed);
  signals.close();
});

test('a second signal ends the process, but not one that comes with the first', () => {
  const { exit } = process;
  const { setInterval } = globalThis;
  let tick = () => {};
  const codes: unknown[] = [];
  process.exit = ((code: number) => codes.push(code)) as unknown as typeof process.exit;
  globalThis.setInterval = ((act: () => void) => {
    tick = act;
    const timer = setTimeout(() => {}, 0);
    return timer;
  }) as typeof globalThis.setInterval;
  try {
    for (const signal of SIGNALS) {
      const signals = new StopSignals();
      assert.not(signals.interrupted());
      for (const other of [signal, signal, ...SIGNALS]) process.emit(other);
      assert.ok(signals.interrupted());
      // The event loop was busy: time passed, but in one piece.
      tick();
      process.emit(signal);
      assert.equal(codes, []);
      for (let i = 0; i < 10; i++) tick();
      process.emit(signal);
      assert.equal(codes.splice(0), [1]);
      signals.close();
      assert.is(process.listenerCount(signal), 0);
    }
  } finally {
    Object.assign(process, { exit });
    globalThis.setInterval = setInterval;
  }
});

// ---- the cursor

test('bars show the cursor again however the process ends', () => {
  const { write, isTTY } = process.stderr;
  let shown = '';
  process.stderr.write = (text: string | Uint8Array) => {
    shown += text;
    return true;
  };
  process.stderr.isTTY = true;
  const isHidden = () => shown.lastIndexOf('\x1b[?25l') > shown.lastIndexOf('\x1b[?25h');
  try {
    for (const begin of [
      () => startProgress('evaluating', 10),
      () => startJobs(2, 10),
      () => {
        const { bars, stop } = startBars('{bar}');
        bars.create(1, 0);
        return { stop };
      },
    ]) {
      for (const way of ['stop', 'exit']) {
        const before = process.listeners('exit');
        const { stop } = begin();
        assert.ok(isHidden(), 'bars would flicker');
        const added = process.listeners('exit').filter((listener) => !before.includes(listener));
        assert.is(added.length, 1);
        if (way === 'stop') stop();
        else for (const listener of added) listener.call(process, 1);
        assert.not(isHidden(), way);
        assert.equal(process.listeners('exit'), before);
      }
    }
  } finally {
    Object.assign(process.stderr, { write, isTTY });
  }
});

test.run();
