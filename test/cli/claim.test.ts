import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { CLAIM_FILE, type Claim, claim, holderOf } from '../../src/cli/experiment/claim.js';
import { thisProcess } from '../../src/io/process.js';
import { contents, dopantHere, end, makeFolder, makeText, start } from './command.js';

const folder = makeFolder();
const path = (...names: string[]) => join(folder, ...names);
/** A folder with a claim of this text. */
function claimed(name: string, text: string): string {
  mkdirSync(path(name), { recursive: true });
  writeFileSync(path(name, CLAIM_FILE), text);
  return path(name);
}

let dead = 0;
test.before(async () => {
  const child = start(folder, '--version');
  await once(child, 'close');
  dead = child.pid!;
});

const me = { ...thisProcess, owner: 'another thread' };
const text = (holder: object) => JSON.stringify(holder);

test('a claim holds against others until it is released, and leaves nothing', async () => {
  const place = path('a', 'b');
  const mine = await claim(place);
  assert.ok(mine);
  assert.is(await claim(place), undefined);
  assert.is(await holderOf(place), `process ${process.pid}`);
  await mine!.release();
  assert.not.ok(existsSync(path('a')));
  mkdirSync(path('a'));
  const other = await claim(place);
  writeFileSync(join(place, 'file'), '');
  await other!.release();
  assert.equal(readdirSync(place), ['file']);
});

test('a release leaves the claim of another alone', async () => {
  const place = path('taken');
  const mine = await claim(place);
  claimed('taken', text(me));
  await mine!.release();
  assert.equal(JSON.parse(readFileSync(join(place, CLAIM_FILE), 'utf8')), me);
});

const stale: [name: string, text: () => string][] = [
  ['of a dead process', () => text({ ...me, pid: dead })],
  ['of a dead process, by an earlier version', () => text({ host: hostname(), pid: dead, owner: 'x' })],
  ['of no process', () => text({ ...me, pid: -1 })],
  ['empty', () => ''],
  ['of another kind', () => 'null'],
  ['cut short', () => text(me).slice(0, -2)],
  ['without a process', () => '{}'],
  ['of bytes', () => '\u0000\u0001'],
];
// Only Linux tells when a process started.
if (thisProcess.start) stale.push(['of a process whose number was reused', () => text({ ...me, start: '1' })]);

for (const [name, left] of stale) {
  test(`a claim ${name} is taken over at once, by one of all who try at the same time`, async () => {
    for (let round = 0; round < 3; round++) {
      const place = claimed(`stale ${name}`, left());
      const won = (await Promise.all(Array.from({ length: 8 }, () => claim(place)))).filter((one) => one !== undefined);
      assert.is(won.length, 1);
      assert.equal(readdirSync(place), [CLAIM_FILE]);
      await (won[0] as Claim).release();
      assert.equal(readdirSync(place), []);
    }
  });
}

test('of several processes at a stale claim, one wins', async () => {
  writeFileSync(path('text.txt'), makeText(2000));
  claimed('race', text({ ...me, pid: dead }));
  const line =
    'train lm --data text.txt --hidden 8 --method dense --batch 4 --bptt 8 --epochs 500 --checkpoint race --checkpoint-every 0';
  const children = [1, 2, 3].map(() => start(folder, line));
  const ends = children.map(async (child, i) => ({ i, ...(await end(child)) }));
  try {
    // One of them trains until it is stopped.
    const first = await Promise.race(ends);
    const second = await Promise.race(ends.filter((_, i) => i !== first.i));
    const winner = children[3 - first.i - second.i];
    assert.is(winner.exitCode, null);
    const message = `--checkpoint: got "race"; expected a folder that no run works in; process ${winner.pid} does`;
    for (const { code, stderr } of [first, second]) assert.equal([code, stderr], [2, `dopant: ${message}\n`]);
    while (!existsSync(path('race', 'checkpoint.safetensors'))) await new Promise((resolve) => setTimeout(resolve, 10));
  } finally {
    for (const child of children) child.kill('SIGKILL');
  }
  await Promise.all(ends);
  // Killed, it holds nothing any more: a run that cannot start says why, and leaves the folder to the next.
  const { code, stderr } = await dopantHere(folder, line);
  assert.is(code, 2);
  assert.match(stderr, /--resume race/);
  assert.equal(
    Object.keys(contents(path('race'))).filter((name) => name.startsWith(CLAIM_FILE)),
    [],
  );
});

test('a claim of another machine holds as long as it is touched', async () => {
  const place = claimed('elsewhere', text({ ...me, host: 'elsewhere' }));
  assert.is(await claim(place), undefined);
  assert.is(await holderOf(place), `process ${process.pid} on elsewhere`);
  const old = new Date(Date.now() - 3_600_000);
  utimesSync(join(place, CLAIM_FILE), old, old);
  const mine = await claim(place);
  assert.ok(mine);
  await mine!.release();
});

test('a live process keeps its claim, however long it sleeps', async () => {
  if (!thisProcess.start) return;
  const place = claimed('asleep', text(me));
  const old = new Date(Date.now() - 3_600_000);
  utimesSync(join(place, CLAIM_FILE), old, old);
  assert.is(await claim(place), undefined);
});

test('a process killed while it takes over is no obstacle', async () => {
  const place = claimed('guarded', text({ ...me, pid: dead }));
  writeFileSync(join(place, `${CLAIM_FILE}.next`), text({ ...me, pid: dead }));
  const mine = await claim(place);
  assert.ok(mine);
  assert.equal(readdirSync(place), [CLAIM_FILE]);
  await mine!.release();
});

test('what is not a claim and cannot be one is left alone, and named', async () => {
  mkdirSync(path('folder', CLAIM_FILE, 'inside'), { recursive: true });
  await claim(path('folder')).then(
    () => assert.unreachable(),
    (error: Error) => assert.match(error.message, /\.claim: it is a folder$/),
  );
  assert.ok(existsSync(path('folder', CLAIM_FILE, 'inside')));
  // A link's target is not read as a claim.
  mkdirSync(path('linked'));
  symlinkSync(path('text.txt'), path('linked', CLAIM_FILE));
  const before = contents(folder)['text.txt'];
  const mine = await claim(path('linked'));
  assert.ok(mine);
  await mine!.release();
  assert.is(contents(folder)['text.txt'], before);
  rmSync(path('folder'), { recursive: true });
});

test.run();
