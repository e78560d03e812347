import { execFile } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Command, Option } from 'commander';
import packageJson from '../../package.json';
import { InputError, invalid } from '../errors.js';
import { makeFolder } from '../io/files.js';
import { show } from '../values.js';
import { basesOf, type Cell, independentParts, type Run, runsOf, type Settings } from './experiment/grid.js';
import { namingFile, readGrid } from './experiment/grid-file.js';
import { type RunRecord, readRecords } from './experiment/record.js';
import { type Order, Runner, scratchOf } from './experiment/runner.js';
import { measureOf, summarise } from './experiment/summary.js';
import { type Cost, type ExperimentTask, type Given, modelPath, taskOf } from './experiment/task.js';
import { checkDistinct, checkOutputs, type Input, naming, type Output } from './outputs.js';
import { Interrupted, pause, STOPPED, StopSignals } from './stopping.js';
import { formatTable } from './table.js';
import { describeShares, percent } from './unknown.js';

export interface ExperimentArguments {
  out?: string;
  only?: string;
  jobs?: number;
  dryRun?: boolean;
  json?: boolean;
}

/** Options of `dopant train` that the runner decides. */
const RESERVED = ['seed', 'checkpoint', 'resume', 'out', 'json', 'checkpoint-every', 'records', 'report', 'threads'];

/** Trains the runs of a grid that the folder does not have yet; the options of `train` are the settings of a grid. */
export async function experiment(file: string, args: ExperimentArguments, train: Command): Promise<void> {
  const signals = new StopSignals();
  try {
    await runGrid(file, args, train, signals);
  } finally {
    signals.close();
  }
}

async function runGrid(file: string, args: ExperimentArguments, train: Command, signals: StopSignals): Promise<void> {
  const grid = await readGrid(file);
  const task = namingFile(file, () => taskOf(grid.task));
  const cells = args.only === undefined ? grid.cells : partOf(independentParts(grid), args.only).flat();
  const options = train.commands.find((command) => command.name() === grid.task)!.options;
  const given = (settings: Settings) => givenOf(settings, options);
  const out = args.out ?? join(dirname(file), 'records');
  const records = await readRecords(out);
  const plans: CellPlan[] = [];
  const read: Input[] = [{ option: '<grid>', path: file }];
  const outputs = new Map<string, Output>(); // by path: a cell may be in several parts
  const notes = new Map<string, string>(); // on the data, with the first cell that they apply to: most cells share theirs
  for (const [rank, cell] of cells.entries()) {
    const { cost, inputs, lines } = await checkCell(file, cell, task, given, signals);
    for (const line of lines) if (!notes.has(line)) notes.set(line, cell.label);
    const { weights, tokens } = cost;
    for (const input of inputs) read.push(input);
    const runs = () => runsOf(grid, cell, records);
    const count = cell.candidates.length + cell.seeds.length - 1;
    const names = new Set([...runs().tuning, ...runs().final].map(({ name }) => name));
    for (const name of names) {
      for (const path of [join(out, `${name}.json`), modelPath(scratchOf(out, name))]) {
        outputs.set(path, { option: '--out', path });
      }
    }
    const finished = Math.min(count, [...names].filter((name) => records.has(name)).length);
    plans.push({ cell, rank, runs, work: weights * tokens, count, finished, keepModels: false });
  }
  const wanted = new Set(plans.filter((plan) => plan.finished < plan.count).flatMap(({ cell }) => basesOf(cell)));
  for (const plan of plans) plan.keepModels = wanted.has(plan.cell.label);
  const showNotes = () => {
    for (const [line, label] of notes) process.stderr.write(`${label}: ${line}\n`);
  };
  if (args.dryRun) {
    showNotes();
    return showPlan(plans, args.json);
  }
  await checkDistinct([...outputs.values()], read);
  await naming('--out', makeFolder(out));
  // Everything is written to this folder: one file stands for all.
  await checkOutputs([{ option: '--out', path: join(out, '.trial') }], []);
  showNotes();
  const jobs = args.jobs ?? availableParallelism();
  const runner = new Runner({
    task: grid.task,
    folder: out,
    records,
    jobs,
    given,
    signals,
    dopant: await identify(),
    work: {
      total: plans.reduce((sum, { count, work }) => sum + count * work, 0),
      done: plans.reduce((sum, { finished, work }) => sum + finished * work, 0),
    },
  });
  try {
    const ends = new Map<string, Promise<void>>();
    for (const plan of plans) {
      const bases = basesOf(plan.cell).map((label) => ends.get(label));
      const end = Promise.all(bases).then(() => runner.runCell(plan));
      // A cell without tuning may be split into its seeds, which all have its label.
      ends.set(
        plan.cell.label,
        Promise.all([ends.get(plan.cell.label), end]).then(() => {}),
      );
    }
    // Wait for all: those still running write their checkpoints.
    const failed = (await Promise.allSettled(ends.values())).flatMap((end) =>
      end.status === 'rejected' ? [end.reason] : [],
    );
    // A run that stopped because another failed says less than the one that failed.
    if (failed.length) throw failed.find((error) => !(error instanceof Interrupted)) ?? failed[0];
    for (const plan of plans) await runner.sweep(plan);
  } finally {
    runner.stop();
  }
  showResults(plans, records, out, args.json);
}

interface CellPlan extends Order {
  /** The number of runs, and of those that have a record. */
  count: number;
  finished: number;
}

/** Checks the settings of every candidate before the first one starts. */
async function checkCell(
  file: string,
  cell: Cell,
  task: ExperimentTask,
  given: (settings: Settings) => Given,
  { interrupted }: StopSignals,
): Promise<{ cost: Cost; inputs: Input[]; lines: string[] }> {
  try {
    const checked: Awaited<ReturnType<ExperimentTask['check']>>[] = [];
    for (const candidate of cell.candidates) {
      await pause(interrupted, STOPPED);
      checked.push(await task.check(given({ ...cell.settings, ...candidate, seed: cell.seeds[0] })));
    }
    const lines = checked.flatMap(({ shares }) => describeShares(shares));
    return { cost: checked.at(-1)!.cost, inputs: checked.flatMap(({ inputs }) => inputs), lines };
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    throw new InputError(`${file}: cell ${show(cell.label)}: ${error.message}`, { cause: error });
  }
}

function partOf<T>(list: readonly T[], only: string): T[] {
  const [, k, n] = /^(\d+)\/(\d+)$/.exec(only)?.map(Number) ?? [];
  if (!(k >= 1 && k <= n)) throw invalid('--only', only, 'K/N, the K-th of N parts, such as 1/4');
  return list.filter((_, i) => i % n === k - 1);
}

/** The options as Commander would pass them to `dopant train`. */
function givenOf(settings: Run['settings'], options: readonly Option[]): Given {
  const given: Given = {};
  for (const option of options) {
    if (option.defaultValue !== undefined) given[option.attributeName()] = option.defaultValue;
  }
  for (const [name, value] of Object.entries(settings)) {
    const option = options.find(({ long }) => long === `--${name}`);
    if (!option || (RESERVED.includes(name) && name !== 'seed')) {
      const known = options.flatMap(({ long }) => (long ? [long.slice(2)] : []));
      throw invalid('setting', name, `one of ${known.filter((flag) => !RESERVED.includes(flag)).join(', ')}`);
    }
    if (!option.isBoolean()) {
      given[option.attributeName()] = option.parseArg ? option.parseArg(String(value), undefined) : String(value);
    } else if (typeof value === 'boolean') {
      given[option.attributeName()] = value;
    } else {
      throw invalid(option.long!, value, 'true or false');
    }
  }
  return given;
}

function showPlan(plans: readonly CellPlan[], json: boolean | undefined): void {
  const left = plans.reduce((sum, { count, finished, work }) => sum + (count - finished) * work, 0);
  const runs = plans.reduce((sum, { count }) => sum + count, 0);
  const done = plans.reduce((sum, { finished }) => sum + finished, 0);
  if (json) {
    const cells = plans.map(({ cell: { label, settings, candidates, seeds }, count, finished, work }) => ({
      label,
      settings,
      candidates,
      seeds,
      runs: count,
      finished,
      work,
    }));
    process.stdout.write(`${JSON.stringify({ runs, finished: done, left, cells })}\n`);
    return;
  }
  const rows = plans.map(({ cell, count, finished, work }) => [
    cell.label,
    tunedOver(cell.candidates),
    cell.seeds.join(' '),
    count,
    finished,
    (work / 1e9).toFixed(1),
  ]);
  const columns = ['cell', 'tuned over', 'seeds', 'runs', 'finished', 'weights x tokens a run, 1e9'];
  process.stdout.write(
    `${formatTable({ columns, rows })}\n${runs} runs, ${done} finished; ${(left / 1e12).toFixed(2)}e12 weights x tokens left. A training step takes about 6 operations for each.\n`,
  );
}

/** The values of each axis; the candidates are all combinations of them. */
function tunedOver(candidates: readonly Settings[]): string {
  const values = (key: string) => [...new Set(candidates.map((candidate) => candidate[key]))].join(' ');
  return candidates.length > 1
    ? Object.keys(candidates[0])
        .map((key) => `${key} ${values(key)}`)
        .join('; ')
    : '-';
}

function showResults(orders: readonly Order[], records: ReadonlyMap<string, RunRecord>, out: string, json?: boolean) {
  const cells = orders.map(({ cell, runs }) => {
    const { tuning, final } = runs();
    const of = (list: readonly Run[]) => list.flatMap(({ name }) => records.get(name) ?? []);
    return { cell, failed: of([...tuning, ...final]).filter(({ failed }) => failed).length, final: of(final) };
  });
  if (json) {
    const told = cells.map(({ cell: { label }, failed, final }) => {
      const runs = final.map(({ name, settings: { seed }, result }) => ({ name, seed, ...result }));
      return { label, failed, runs };
    });
    process.stdout.write(`${JSON.stringify({ out, records: records.size, cells: told })}\n`);
    return;
  }
  const columns = ['cell', 'seeds', 'measure', 'valid', 'test', 'unknown tokens', 'failed'];
  const rows = cells.map(({ cell: { label }, failed, final }) => {
    const summary = summarise(final);
    if (!summary) return [label, '-', '-', '-', '-', '-', failed];
    const { runs, valid, test } = summary;
    const { unknown } = runs[0].result!;
    const tokens = unknown?.test ?? unknown?.valid;
    return [
      label,
      runs.map(({ settings }) => settings.seed).join(' '),
      measureOf(runs[0].result!.valid),
      valid.mean.toFixed(3),
      test ? test.mean.toFixed(3) : '-',
      tokens === undefined ? '-' : percent(tokens),
      failed,
    ];
  });
  process.stdout.write(`${formatTable({ columns, rows })}\nrecords in ${out}\n`);
}

/** The version of this program, and the commit if it runs from a checkout. */
async function identify(): Promise<RunRecord['dopant']> {
  const { version } = packageJson;
  const root = fileURLToPath(new URL('../..', import.meta.url));
  const git = (...args: string[]) =>
    promisify(execFile)('git', ['-C', root, ...args]).then(({ stdout }) => stdout.trim());
  try {
    // An installed package may lie within a checkout of something else.
    if (relative(root, await git('rev-parse', '--show-toplevel')) !== '') return { version };
    return { version, commit: await git('describe', '--always', '--abbrev=12', '--dirty', '--exclude=*') };
  } catch {
    return { version };
  }
}
