import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Pool } from '../../src/cli/experiment/pool.js';
import { type RunRecord, readRecords, thinOut } from '../../src/cli/experiment/record.js';
import type { TrainResult } from '../../src/cli/training.js';
import type { TrainRecord } from '../../src/train/records.js';
import { apart, contents, dopantHere, end, json, makeFolder, makeText, start, succeed } from './command.js';

const folder = makeFolder();
const path = (...names: string[]) => join(folder, ...names);
writeFileSync(path('text.txt'), makeText(2000));

const settings = { data: 'text.txt', hidden: 8, batch: 4, bptt: 8, epochs: 2 };
const grid = {
  settings,
  tune: { lr: [0.01, 0.03] },
  seeds: [1, 2],
  cells: [
    { method: 'dense' },
    { method: ['doped-kron', 'pruned'], compression: 5 },
    { method: 'small-dense', compression: 4 },
    { name: '4x1', method: 'pruned', compression: 5, block: 4, with: { lr: 0.03 } },
  ],
};
const write = (name: string, value: unknown) => writeFileSync(path(name), JSON.stringify(value));
write('grid.json', grid);

/** All but what may differ from one time to the next. */
const facts = async (name: string) =>
  [...(await readRecords(path(name))).values()].map(({ timing, dopant, ...rest }) => rest);
const files = (name: string) => readdirSync(path(name)).filter((file) => file.endsWith('.json'));

let whole: Omit<RunRecord, 'timing' | 'dopant'>[];
test.before(async () => {
  await apart.succeed(folder, 'experiment grid.json --out whole');
  whole = await facts('whole');
});

test('each cell is tuned with its first seed; the test split is read by final runs alone', () => {
  const of = (cell: string) => whole.filter((run) => run.cell === cell);
  for (const cell of ['dense', 'doped-kron 5x', 'pruned 5x', 'small-dense 4x']) {
    const runs = of(cell);
    assert.is(runs.length, 3, cell);
    const tuning = runs.filter(({ settings }) => settings.seed === 1);
    const best = tuning.reduce((a, b) => (b.result!.valid.perplexity! < a.result!.valid.perplexity! ? b : a));
    for (const { settings, final, result, tuned } of runs) {
      assert.is(final ?? false, settings.lr === best.settings.lr);
      assert.is(result!.test !== undefined, final ?? false);
      assert.equal(tuned, ['lr']);
    }
  }
  assert.is(of('4x1').length, 2);
  assert.ok(of('4x1').every(({ final, tuned, settings }) => final && tuned.length === 0 && settings.lr === 0.03));
  const { result } = of('small-dense 4x')[0];
  assert.equal(result!.compression, { parameters: 4, bytes: 4 });
  assert.is(whole.length, 14);
});

test('what a run comes to is what dopant train comes to with its settings', async () => {
  for (const cell of ['doped-kron 5x', '4x1']) {
    const { settings, result } = whole.find((run) => run.cell === cell && run.final && run.settings.seed === 2)!;
    const flags = Object.entries(settings).map(([name, value]) => `--${name} ${value}`);
    const trained = await json<TrainResult>(folder, `train lm ${flags.join(' ')}`);
    const { valid, test, unknown, parameters, compression } = trained;
    const { fileBytes, gzipBytes, ...rest } = result!;
    assert.equal(rest, { valid, test, unknown, parameters, compression });
    assert.ok(gzipBytes! < fileBytes);
  }
});

test('what is finished is not run again, and nothing else is left', async () => {
  const before = contents(path('whole'));
  const { stdout } = await apart.succeed(folder, 'experiment grid.json --out whole --json');
  assert.equal(contents(path('whole')), before);
  assert.equal(readdirSync(path('whole', '.scratch')), []);
  const { cells } = JSON.parse(stdout.trimEnd().split('\n').at(-1)!);
  assert.is(cells.length, 5);
  assert.ok(cells.every((cell: { runs: unknown[]; failed: number }) => cell.runs.length === 2 && cell.failed === 0));
});

test('killed at any moment, it goes on, and ends in the same records', async () => {
  for (const signal of ['SIGKILL', 'SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    const child = start(folder, 'experiment grid.json --out killed');
    const ended = end(child);
    const count = existsSync(path('killed')) ? files('killed').length : 0;
    const running = () => child.exitCode === null && child.signalCode === null;
    while (running() && (!existsSync(path('killed')) || files('killed').length < count + 2)) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    child.kill(signal);
    const { code, stderr } = await ended;
    if (signal !== 'SIGKILL' && code !== 0) {
      assert.is(code, 1);
      assert.match(stderr, /stopped; the same command goes on/);
    }
  }
  await apart.succeed(folder, 'experiment grid.json --out killed');
  assert.equal(await facts('killed'), whole);
  assert.equal(readdirSync(path('killed', '.scratch')), []);
});

test('parts on several machines, and several processes in one folder, make the same records', async () => {
  await Promise.all(
    [1, 2].map((k) => apart.succeed(folder, `experiment grid.json --out part${k} --only ${k}/2 --jobs 1`)),
  );
  assert.ok(files('part1').every((file) => !files('part2').includes(file)));
  mkdirSync(path('merged'));
  for (const k of [1, 2]) {
    for (const file of files(`part${k}`)) cpSync(path(`part${k}`, file), path('merged', file));
  }
  assert.equal(await facts('merged'), whole);
  await Promise.all([1, 2].map(() => apart.succeed(folder, 'experiment grid.json --out shared --jobs 1')));
  assert.equal(await facts('shared'), whole);
});

test('a dry run tells the runs and their work, and writes nothing', async () => {
  const before = contents(folder);
  const plan = await json<{ runs: number; finished: number; left: number }>(folder, 'experiment grid.json --dry-run');
  assert.is(plan.runs, 14);
  assert.is(plan.finished, 0);
  assert.ok(plan.left > 0);
  assert.equal(contents(folder), before);
  const done = await json<{ finished: number; left: number }>(folder, 'experiment grid.json --out whole --dry-run');
  assert.equal([done.finished, done.left], [14, 0]);
});

test('a training that cannot go on is a result too', async () => {
  const cells = [{ method: 'dense', with: { optimizer: 'sgd', schedule: 'constant', clip: 0 } }];
  write('wild.json', { settings, cells, tune: { lr: [1e30, 1] } });
  const { stdout } = await apart.succeed(folder, 'experiment wild.json --out wild --json');
  const [cell] = JSON.parse(stdout).cells;
  assert.is(cell.failed, 1);
  assert.is(cell.runs.length, 1);
  assert.ok(Number.isFinite(cell.runs[0].test.perplexity));
});

test('intents: without a test split the final runs are those of the validation split', async () => {
  const sentences = (n: number) =>
    Array.from({ length: n }, (_, i) => (i % 2 ? `fly to place ${i % 7}` : `play song ${i % 5}`));
  for (const [split, n] of [
    ['train', 80],
    ['valid', 20],
  ] as const) {
    mkdirSync(path('intents', split), { recursive: true });
    writeFileSync(path('intents', split, 'seq.in'), sentences(n).join('\n'));
    writeFileSync(
      path('intents', split, 'label'),
      sentences(n)
        .map((sentence) => sentence.split(' ')[0])
        .join('\n'),
    );
  }
  const intents = { data: 'intents', hidden: 8, embedding: 8, batch: 4, epochs: 2 };
  write('intents.json', {
    task: 'intent',
    settings: intents,
    tune: { lr: [0.01, 0.03] },
    cells: [{ method: 'dense' }],
  });
  await apart.succeed(folder, 'experiment intents.json --out intent-records');
  const records = [...(await readRecords(path('intent-records'))).values()];
  assert.is(records.filter(({ final }) => final).length, 1);
  for (const { result, timing } of records) {
    assert.ok(result!.valid.accuracy! >= 0 && result!.valid.accuracy! <= 1);
    assert.is(result!.test, undefined);
    assert.ok(timing!.sentence! > 0);
  }
  await succeed(folder, 'report intent-records --out page.html');
  assert.match(readFileSync(path('page.html'), 'utf8'), /valid accuracy, %/);
});

test('a cell starts from the models of another, those of its seed', async () => {
  const from = { epochs: 1, from: '@teacher' };
  const cells = [
    { name: 'teacher', method: 'dense', with: { epochs: 1 } },
    { name: 'pupil', method: 'doped-kron', compression: 5, with: { ...from, distill: 0.5 } },
  ];
  write('from.json', { settings, tune: { lr: [0.01, 0.03] }, seeds: [1, 2], cells });
  await apart.succeed(folder, 'experiment from.json --out from');
  const runs = await facts('from');
  const teachers = runs.filter(({ cell, final }) => cell === 'teacher' && final);
  const pupils = runs.filter(({ cell }) => cell === 'pupil');
  assert.equal([teachers.length, pupils.length], [2, 3]);
  for (const pupil of pupils) {
    const teacher = teachers.find(({ settings: { seed } }) => seed === pupil.settings.seed)!;
    assert.is(pupil.settings.from, `@${teacher.name}`);
  }
  assert.equal(readdirSync(path('from', '.scratch')), []);
  const last = pupils.find(({ settings: { seed } }) => seed === 2)!;
  // Its teacher is trained again where its model is gone.
  rmSync(path('from', `${last.name}.json`));
  await apart.succeed(folder, 'experiment from.json --out from');
  assert.equal(await facts('from'), runs);
  // By hand it comes to the same.
  const flags = (run: typeof last) =>
    Object.entries({ ...run.settings, ...(run.settings.from && { from: 'teacher.safetensors' }) })
      .map(([name, value]) => `--${name} ${value}`)
      .join(' ');
  const teacher = teachers.find(({ settings: { seed } }) => seed === 2)!;
  await succeed(folder, `train lm ${flags(teacher)} --out teacher.safetensors`);
  const { valid, test } = await json<TrainResult>(folder, `train lm ${flags(last)}`);
  assert.equal([last.result!.valid, last.result!.test], [valid, test]);
});

test('what is wrong is refused before anything starts, with its place', async () => {
  const cases: [unknown, string, RegExp][] = [
    [
      { ...grid, cells: [{ method: 'dense', with: { hiden: 3 } }] },
      '',
      /cell "dense": setting: got "hiden"; expected one of data, /,
    ],
    [{ ...grid, cells: [{ method: 'dense', with: { out: 'x' } }] }, '', /setting: got "out"; /],
    [
      { ...grid, cells: [{ method: 'dense', with: { hidden: 2.5 } }] },
      '',
      /--hidden: got "2.5"; expected a whole number/,
    ],
    [
      { ...grid, cells: [{ method: 'dense', with: { level: 'line' } }] },
      '',
      /--level: got "line"; expected word or char/,
    ],
    [{ ...grid, cells: [{ method: 'lmf', compression: 1000 }] }, '', /cell "lmf 1000x": compression.*nearest possible/],
    [{ ...grid, cells: [{ method: 'doped' }] }, '', /--method: got "doped"; expected one of/],
    [{ ...grid, settings: { ...settings, data: 'none.txt' } }, '', /--data: got 'none.txt', which does not exist/],
    [{ ...grid, settings: { ...settings, vocab: 99999 } }, '', /vocab: got 99999; expected at most/],
    [{ ...grid, settings: { ...settings, batch: 999 } }, '', /the training text: got \d+ tokens, fewer than one batch/],
    [{ ...grid, tune: { lr: [0.1, -1] } }, '', /cell "dense": lr: got -1; expected a number > 0/],
    [{ ...grid, task: 'constructor' }, '', /task: got "constructor"; expected one of 'lm', 'intent', 'tag', 'series'/],
    [{ ...grid, task: '__proto__' }, '', /task: got "__proto__"; expected one of 'lm', 'intent', 'tag', 'series'/],
    [{ ...grid, settings: { ...settings, threads: 2 } }, '', /setting: got "threads"; /],
    [
      { ...grid, cells: [{ method: 'dense', with: { anneal: '0,0.5' } }] },
      '',
      /--anneal: got "0,0.5"; expected only with/,
    ],
    [{ extends: 3, cells: [] }, '', /extends: got 3; expected the path/],
    [{ ...grid, task: 'speech' }, '', /task: got "speech"; expected one of 'lm', 'intent', 'tag', 'series'/],
    [grid, '--only 3/2', /--only: got "3\/2"; expected K\/N/],
    [{ extends: 'bad.json', cells: [] }, '', /it extends itself/],
  ];
  for (const [value, flags, message] of cases) {
    write('bad.json', value);
    const { code, stderr } = await dopantHere(folder, `experiment bad.json --out bad ${flags}`);
    assert.is(code, 2, stderr);
    assert.match(stderr, message);
    assert.match(stderr, flags ? /^/ : /bad\.json/);
    assert.not.ok(existsSync(path('bad')));
  }
});

test('a damaged record is told by name', async () => {
  mkdirSync(path('damaged'));
  const name = files('whole')[0];
  writeFileSync(path('damaged', name), '{"name": 1');
  const { code, stderr } = await dopantHere(folder, 'experiment grid.json --out damaged');
  assert.is(code, 1);
  assert.match(stderr, new RegExp(`${name}.*it is not JSON.*delete the file to repeat the run`));
});

test('a grid may extend another: all but its cells', async () => {
  write('more.json', { extends: 'grid.json', seeds: [1], cells: [{ method: 'dense' }] });
  const plan = await json<{ runs: number; finished: number }>(folder, 'experiment more.json --out whole --dry-run');
  assert.equal([plan.runs, plan.finished], [2, 2]);
});

test('the report of a folder: a page, and the same in short', async () => {
  const said = await json<{ groups: { cells: { label: string; seeds: number[] }[] }[] }>(
    folder,
    'report whole --out page.html',
  );
  const [{ cells }] = said.groups;
  assert.equal(cells.map(({ label }) => label).sort(), [
    '4x1',
    'dense',
    'doped-kron 5x',
    'pruned 5x',
    'small-dense 4x',
  ]);
  for (const { seeds } of cells) assert.equal(seeds, [1, 2]);
  const page = readFileSync(path('page.html'), 'utf8');
  for (const part of ['Quality over compression', 'Tuning', 'small-dense 4x', 'Perplexity of the parts']) {
    assert.ok(page.includes(part), part);
  }
  assert.not.ok(page.includes('class="pattern"'));
  // Parts together are the whole.
  assert.equal(await json(folder, 'report part1 part2 --out page.html'), said);
});

test('the report draws a doped matrix of a model, and says what it cannot', async () => {
  const train = 'train lm --data text.txt --hidden 8 --batch 4 --bptt 8 --epochs 1';
  await succeed(folder, `${train} --compression 5 --out doped.safetensors`);
  await succeed(folder, `${train} --method dense --out dense.safetensors`);
  await succeed(folder, 'report whole --model doped.safetensors --out page.html');
  const page = readFileSync(path('page.html'), 'utf8');
  const [, data] = /id="patterns">(.*?)<\/script>/s.exec(page)!;
  const [structure, dopants, sum] = JSON.parse(data);
  const bytes = ({ base64 }: { base64: string }) => new Int8Array(Buffer.from(base64, 'base64'));
  for (const { rows, cols, base64 } of [structure, dopants, sum]) {
    assert.equal([rows, cols], [32, 8]);
    assert.is(bytes({ base64 }).length, 256);
  }
  // A fifth of 256 at most, and all of them seen.
  const alive = bytes(dopants).filter((value) => value !== 0).length;
  assert.ok(alive > 0 && alive <= 51, `${alive}`);
  assert.match(dopants.note, new RegExp(`\\b${alive} nonzeros`));
  rmSync(path('page.html'));
  const cases: [string, RegExp][] = [
    [
      'report whole --model dense.safetensors --out page.html',
      /--model: got "dense.safetensors"; expected a model with a doped matrix/,
    ],
    ['report nowhere --out page.html', /<folders...>: got "nowhere"; expected a folder with records/],
    ['report whole --out none/page.html', /--out: cannot write none\/page.html: the folder none does not exist/],
    ['report whole', /required option '--out/],
  ];
  for (const [line, message] of cases) {
    const { code, stderr } = await dopantHere(folder, line);
    assert.is(code, 2, stderr);
    assert.match(stderr, message);
    assert.not.ok(existsSync(path('page.html')));
  }
});

test('curves are thinned out evenly, their ends kept', () => {
  const step = (step: number): TrainRecord => ({
    kind: 'step',
    step,
    epoch: 0,
    loss: Math.PI,
    learningRate: 1,
    sparsity: 0,
  });
  const valid = (step: number): TrainRecord => ({ kind: 'valid', step, epoch: 0, perplexity: 2 / 3 });
  const thin = thinOut([...Array.from({ length: 500 }, (_, i) => step(i)), valid(500)]);
  const steps = thin.flatMap((record) => (record.kind === 'step' ? [record.step] : []));
  assert.is(steps.length, 40);
  assert.equal([steps[0], steps.at(-1)], [0, 499]);
  const gaps = steps.slice(1).map((at, i) => at - steps[i]);
  assert.ok(Math.max(...gaps) - Math.min(...gaps) <= 1);
  assert.equal(thin.at(-1), { kind: 'valid', step: 500, epoch: 0, perplexity: 0.66667 });
  assert.equal(thinOut([valid(1)]), [{ ...valid(1), perplexity: 0.66667 }]);
});

test('so many slots, and the lowest rank next', async () => {
  const pool = new Pool(2);
  const begun: number[] = [];
  let at = 0;
  let most = 0;
  const work = (rank: number) =>
    pool.use(rank, async () => {
      begun.push(rank);
      most = Math.max(most, ++at);
      await new Promise((resolve) => setTimeout(resolve, 5));
      at--;
    });
  await Promise.all([9, 8, 3, 1, 2, 1].map(work));
  assert.is(most, 2);
  assert.equal(begun, [9, 8, 1, 1, 2, 3]);
});

test.run();
