import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { parseGrid } from '../../src/cli/experiment/grid.js';
import { readGrid } from '../../src/cli/experiment/grid-file.js';
import { METHODS } from '../../src/operators/methods.js';
import { contents, digest, dopantHere, makeFolder, makeText, succeed } from './command.js';

const folder = makeFolder();
const path = (...names: string[]) => join(folder, ...names);
const SIZES = '--hidden 8 --layers 1 --batch 4 --bptt 8 --epochs 1 --max-tokens 500';
const LM = `train lm --data text.txt ${SIZES}`;

test.before(async () => {
  writeFileSync(path('text.txt'), makeText(2000));
  await succeed(folder, `${LM} --method dense --out dense`);
  await succeed(folder, `${LM} --level char --vocab 10 --method dense --out char --checkpoint run`);
});

/** Refused with code 2 and one line, and nothing is written. */
async function refuse(message: RegExp, line: string, ...rest: string[]): Promise<void> {
  const before = contents(folder);
  const { code, stdout, stderr } = await dopantHere(folder, line, ...rest);
  assert.match(stderr, message, `${line} ${rest}: ${stderr}`);
  assert.match(stderr, /^dopant: [^\n]*\n$/, line);
  assert.equal([code, stdout], [2, ''], line);
  assert.equal(contents(folder), before, `${line}: nothing written, nothing lost`);
}

test('numbers are decimal, and nothing else is read as one', async () => {
  const bad = [
    '',
    ' ',
    ' 8',
    '8 ',
    '0x8',
    '0b1',
    '0o7',
    '8_0',
    '+8',
    '8,0',
    '8n',
    '1e999',
    'NaN',
    'Infinity',
    '-Infinity',
  ];
  for (const value of [...bad, '٨', '८', '8\n', '--8', '1e', '.', 'e5']) {
    for (const option of ['--hidden', '--seed', '--vocab', '--lr', '--compression', '--checkpoint-every']) {
      await refuse(new RegExp(`^dopant: ${option}: got `), LM, option, value);
    }
    for (const option of ['--anneal', '--decay', '--free-rate', '--cmr-rates']) {
      await refuse(new RegExp(`^dopant: ${option}: got `), LM, option, `${value},0.5`);
      // A space after the comma is fine.
      const second = value.startsWith(' ') ? `${value}x` : value;
      await refuse(new RegExp(`^dopant: ${option}: got `), LM, option, `0.5,${second}`);
    }
    await refuse(/^dopant: --distill: got /, `${LM} --from dense --distill`, value.replace(',', ';'));
  }
  for (const value of ['8.0', '8.5', '1e1', '-1', '1e300', '9007199254740993']) {
    await refuse(/^dopant: --hidden: got .* expected a whole number >= 1/, LM, '--hidden', value);
  }
  for (const value of ['8x4', '8x4,', '8x4,4', '8x4,4x2.0', '8X4,4X2', '8x4;4x2', '-8x4,4x2', '']) {
    await refuse(/^dopant: --kron: got .* expected two or more shapes/, LM, '--kron', value);
  }
  for (const [option, values] of Object.entries({
    '--method dense --lr': ['.01', '1e-2', '1E-2', '0.010', '1.e-2'],
    '--compression': ['5', '5.', '05', '5e0'],
    '--compression 4 --anneal': ['0.1,0.5', '0.1, 0.5', '1e-1,.5'],
    '--compression 4 --kron': ['8x4,4x2', '8x4, 4x2'],
  })) {
    const models = new Set<string>();
    for (const value of values) {
      await succeed(folder, `${LM} --out number ${option}`, value);
      models.add(digest(path('number')));
    }
    assert.is(models.size, 1, option);
  }
});

test('what a small model cannot be is refused by its option', async () => {
  const line = `${LM} --method dense`;
  await refuse(/^dopant: --adaptive: got "4,2"; expected 1 to 8 ascending whole numbers/, line, '--adaptive', '4,2');
  await refuse(
    /^dopant: --adaptive: got 5000; expected cutoffs below \d+, the size of the vocabulary/,
    line,
    '--adaptive',
    '5000',
  );
  await refuse(/^dopant: --adaptive: got "2"; expected only without --tie/, line, '--tie', '--adaptive', '2');
  await refuse(/^dopant: --embedding: got 5; expected 8, the units/, line, '--tie', '--embedding', '5');
  await refuse(
    /^dopant: --linear-compression: got 4; expected only with --matrices all/,
    line,
    '--linear-compression',
    '4',
  );
  await refuse(/^dopant: --bits: got "5"; expected one of 8, 4, 3, 2/, line, '--bits', '5');
  await refuse(/^dopant: --bits: got "16"; expected one of 8, 4, 3, 2/, 'export dense --out m --bits', '16');
  await refuse(/^dopant: --target: got "0.5"; expected a number >= 1/, 'export dense --out m --target', '0.5');
});

test('an empty path is refused', async () => {
  for (const option of ['data', 'out', 'records', 'report', 'checkpoint', 'from', 'teacher', 'resume']) {
    await refuse(new RegExp(`^dopant: --${option}: got ""; expected a path`), `train lm --${option}`, '');
  }
  await refuse(/--out: got ""/, 'export dense --bits 8 --out', '');
  await refuse(/--data: got ""/, 'eval dense --data', '');
  await refuse(/--out: got ""/, 'experiment grid.json --out', '');
  await refuse(/--model: got ""/, 'report run --out page --model', '');
  await refuse(/^dopant: \[folder\]: got ""; expected a path/, 'demo', '');
  for (const command of ['inspect', 'generate', 'export --bits 8 --out new', 'eval --data text.txt']) {
    await refuse(/^dopant: <model>: got ""; expected a path/, command, '');
  }
  await refuse(/^dopant: <model>: got ""; expected a path/, 'predict', '', 'a');
  await refuse(/^dopant: <grid>: got ""; expected a path/, 'experiment', '');
});

/** Options whose effect depends on the method, with a value that is no default; other options that they need. */
const VALUES: Record<string, string> = {
  compression: '5',
  kron: '16x2,2x4',
  block: '4',
  anneal: '0.2,0.4',
  'prune-every': '2',
  threshold: 'matrix',
  saliency: 'moment',
  l1: '0.5',
  'final-sparsity': '0.5',
  'free-rate': '0.5,0.5',
  'structure-share': '0.3',
  cmr: '0.3',
  'cmr-rates': '0,0.3',
  'cmr-hold': '',
  'cmr-until': '0.5',
  alternate: '2',
};
const NEEDS: Record<string, string> = { 'cmr-hold': '--cmr 0.3', 'cmr-until': '--cmr 0.3' };

for (const method of METHODS) {
  test(`${method}: each option either changes what is trained, or is refused`, async () => {
    const trained = async (options: string) => {
      const base = /dense|pruned/.test(method) || options.includes('--compression') ? LM : `${LM} --compression 4`;
      const { code, stderr } = await dopantHere(folder, `${base} --method ${method} ${options} --out m --records r`);
      return code === 0 ? `${digest(path('m'))} ${digest(path('r'))}` : stderr;
    };
    const accepted: string[] = [];
    const plain = await trained('');
    const needy = await trained('--cmr 0.3');
    for (const [name, value] of Object.entries(VALUES)) {
      const before = NEEDS[name] ? needy : plain;
      const after = await trained(`${NEEDS[name] ?? ''} --${name} ${value}`);
      assert.is.not(after, NEEDS[name] && before.startsWith('dopant') ? '' : before, name);
      if (!after.startsWith('dopant')) accepted.push(name);
      else assert.match(after, /^dopant: --[a-z0-9-]+: got [^\n]*; expected [^\n]*\n$/);
    }
    const pruning = ['block', 'anneal', 'prune-every', 'threshold', 'saliency', 'l1', 'final-sparsity', 'free-rate'];
    const cmr = ['structure-share', 'cmr', 'cmr-rates', 'cmr-hold', 'cmr-until', 'alternate'];
    assert.equal(accepted, [
      ...(method === 'dense' ? [] : ['compression']),
      ...(method.endsWith('kron') ? ['kron'] : []),
      ...(method === 'pruned' || method.startsWith('doped') ? pruning : method === 'dense' ? ['free-rate'] : []),
      ...(method.startsWith('doped') ? cmr : []),
    ]);
  });
}

test('options that have no effect beside others are refused', async () => {
  const cases: [line: string, message: RegExp][] = [
    ['--method dense --compression 7', /--compression: got 7; expected a --method other than dense/],
    ['--cmr-hold', /--cmr-hold: got true; expected only with a rate > 0 in --cmr/],
    ['--cmr 0 --cmr-until 0.5', /--cmr-until: got 0.5; expected only with a rate > 0 in --cmr/],
    ['--cmr-rates 0,0 --cmr-hold', /--cmr-hold: got true; /],
    ['--cmr 0.1 --cmr-until 0', /--cmr-until: got 0; expected a share > 0/],
    ['--cmr 0.1 --cmr-rates 0.1,0.1', /--cmr-rates: got "0.1,0.1"; expected only without --cmr/],
    ['--method pruned --compression 5 --final-sparsity 0.5', /--compression: got 5; .* --final-sparsity/],
    ['--decay 2,2', /--decay: got "2,2"; expected only with --schedule decay, not cosine/],
    ['--decay 2,2 --schedule constant', /--decay: got "2,2"; expected only with --schedule decay, not constant/],
    ['--checkpoint-every 5', /--checkpoint-every: got 5; expected only with --checkpoint or --resume/],
    ['--teacher dense', /--teacher: got "dense"; expected only with --distill/],
    ['--distill 0.5', /--distill: got "0.5"; expected a teacher/],
    [
      '--from dense --structure-share 0.1 --method doped-kron',
      /--structure-share: got 0.1; expected only without --from/,
    ],
    ['--teacher dense --distill 0.5 --vocab 5', /--vocab: got 5; expected \d+, as in the model of --teacher/],
    ['--teacher dense --distill 0.5 --level char', /--level: got "char"; expected word, as in the model of --teacher/],
    ['--level char --rule lines', /--rule: got "lines"; expected/],
  ];
  for (const [line, message] of cases.filter(([line]) => line !== '--decay 2,2'))
    await refuse(message, `${LM} ${line}`);
  await refuse(/--hidden: got 8; expected only without --resume/, 'train lm --resume run --hidden 8');
  await refuse(/--data: got nothing; expected the data of its training/, 'export dense --out m --max-loss 0.1');
  // Given as what is so anyway, or as nothing, they contradict nothing.
  for (const line of [
    '--method dense --compression 1',
    '--method dense --cmr 0 --alternate 0',
    '--method dense --decay 2,2 --optimizer sgd',
  ]) {
    await succeed(folder, `${LM} ${line} --out m`);
  }
});

test('generate: what is sampled has an effect, or is refused', async () => {
  const text = async (options: string) => {
    const { stdout } = await succeed(folder, `generate char --tokens 200 --json ${options}`);
    return JSON.parse(stdout).text as string;
  };
  const plain = await text('--temperature 2');
  assert.is(await text('--temperature 2 --seed 1 --top-p 1 --top-k 1000'), plain);
  for (const option of ['--seed 2', '--top-k 2', '--top-p 0.5']) {
    assert.is.not(await text(`--temperature 2 ${option}`), plain, option);
    const [name] = option.split(' ');
    if (name === '--seed') continue;
    await refuse(
      new RegExp(`${name}: got .*; expected only with a --temperature > 0`),
      `generate char --temperature 0 ${option}`,
    );
  }
  assert.is(await text('--temperature 0'), await text('--top-k 1'));
});

test('a teacher gives the vocabulary and all that follows from it', async () => {
  const line = `${LM.replace('--max-tokens 500', '--max-tokens 2000')} --method dense`;
  await succeed(folder, `${line} --teacher char --distill 0.5 --out softTargets`);
  await succeed(folder, `${line} --teacher char --distill 0.5 --out same --level char --vocab 10`);
  assert.is(digest(path('softTargets')), digest(path('same')));
});

test('the grids of the experiments are grids, and so is what --help shows', async () => {
  const home = process.cwd();
  const grids = readdirSync('bench/experiments').filter((name) => name.endsWith('.json') && name !== 'summary.json');
  assert.ok(grids.length > 5);
  for (const name of grids) assert.ok((await readGrid(join(home, 'bench/experiments', name))).cells.length > 0);
  const { stdout } = await succeed(folder, 'experiment --help');
  const [shown] = /\{\n {4}"task".*?\n {2}\}/s.exec(stdout)!;
  // What stands beside the grid explains it.
  const json = shown.replace(/(?<=[,[]) {2,}.*$/gm, '');
  assert.is(parseGrid(JSON.parse(json)).cells.length, 7);
});

test('what is no regular file is refused wherever a file is read, and is not waited for', async () => {
  mkdirSync(path('intents', 'train'), { recursive: true });
  for (const name of ['pipes', 'texts', 'ptb', 'records', 'checkpoint']) mkdirSync(path(name));
  const pipe = (...names: string[]) => execFileSync('mkfifo', [path(...names)]);
  pipe('pipe');
  pipe('texts', 'a.txt');
  pipe('records', 'run.json');
  pipe('checkpoint', 'checkpoint.safetensors');
  pipe('intents', 'train', 'seq.in');
  writeFileSync(path('intents', 'train', 'label'), 'a\n');
  for (const part of ['train', 'valid', 'test']) pipe('ptb', `ptb.${part}.txt`);
  for (const what of ['pipe', '/dev/zero', '/dev/tty']) {
    writeFileSync(path('extends.json'), JSON.stringify({ extends: what, cells: [] }));
    writeFileSync(path('data.json'), JSON.stringify({ settings: { data: what }, cells: [{ method: 'dense' }] }));
    const said = new RegExp(`cannot read .*${what.replace('/dev/', '')}: it is not a regular file`);
    for (const line of [
      `train lm ${SIZES} --data ${what}`,
      `${LM} --teacher ${what} --distill 0.5`,
      `train lm --data text.txt --from ${what}`,
      `eval dense --data ${what}`,
      `eval ${what} --data text.txt`,
      `generate ${what}`,
      `inspect ${what}`,
      `predict ${what} word`,
      `export ${what} --bits 8 --out m2`,
      `export dense --data ${what} --out m2`,
      `experiment ${what}`,
      'experiment data.json --out new',
    ]) {
      await refuse(said, line);
    }
    if (what === 'pipe') await refuse(said, 'experiment extends.json --out new');
  }
  const inside = /cannot read .*: it is not a regular file/;
  await refuse(inside, `train lm ${SIZES} --data texts`);
  await refuse(inside, `train lm ${SIZES} --data ptb`);
  await refuse(inside, 'train intent --data intents');
  await refuse(inside, 'train lm --resume checkpoint');
  await refuse(inside, 'report records --out page');
  cpSync(path('text.txt'), path('pipes', 'text.txt'));
  for (const line of ['eval pipes --data text.txt', 'generate pipes', 'inspect pipes', 'experiment pipes']) {
    await refuse(/cannot read pipes: it is a folder/, line);
  }
});

test.run();
