import { createHash } from 'node:crypto';
import { invalid } from '../../errors.js';
import { isObject, show } from '../../values.js';
import { DEFAULT_TASK } from '../default-task.js';
import { byQuality, type RunRecord } from './record.js';

// A grid as its file describes it, and its runs. A cell is a method at a compression, with any other settings of its own. It
// is tuned with its first seed; then the other seeds run with the chosen settings.

/** Options of `dopant train` by name, without the dashes. */
export type Settings = Record<string, string | number | boolean>;

export interface Grid {
  task: string;
  cells: Cell[];
}

export interface Cell {
  /** Its name in reports, unique in the grid. */
  label: string;
  method: string;
  /** The requested compression; 1 for dense. */
  compression: number;
  /** For small-dense, parameters of the dense LSTM of full size divided by those of the smaller one; 1 otherwise. */
  shrunk: number;
  /** All settings except the tuned ones and the seed. A value @LABEL is the model of another cell. */
  settings: Settings;
  /** The settings to try with the first seed; one entry if nothing is tuned. */
  candidates: Settings[];
  seeds: number[];
}

export interface Run {
  /** The name of its record: readable, and unique to its settings. */
  name: string;
  cell: Cell;
  settings: Settings;
  /** Runs whose models it starts from, by the option that names the model. */
  bases: Map<string, Run>;
}

/** The runs of a cell, as far as the records determine them. */
export interface CellRuns {
  /** One per candidate; empty until the cells whose models it needs are tuned. */
  tuning: Run[];
  /** One per seed, with the chosen settings; empty until they are known. */
  final: Run[];
}

/** A dense model with fewer units, within the budget of the compression: a method that only grids have. */
const SMALL_DENSE = 'small-dense';

const AXES = ['method', 'compression', 'block', 'cmr'] as const;
/** The most cells of a grid, combinations in a cell, and seeds: more must be a mistake. */
const MOST = 1000;

/** Settings that may be the model of another cell. */
const MODELS = ['from', 'teacher'];

const GRID_FIELDS = ['task', 'settings', 'tune', 'seeds', 'cells'];
const CELL_FIELDS = [...AXES, 'name', 'with', 'tune', 'seeds'];

/** Throws an InputError that names the field for anything that is no grid. */
export function parseGrid(value: unknown): Grid {
  const grid = fields(value, 'the file', GRID_FIELDS);
  const task = grid.task ?? DEFAULT_TASK;
  if (typeof task !== 'string') throw invalid('task', task, `the name of a task, such as '${DEFAULT_TASK}'`);
  if (!Array.isArray(grid.cells) || grid.cells.length === 0) {
    throw invalid('cells', grid.cells, 'a list with at least one object, such as [{"method": "dense"}]');
  }
  const common = {
    settings: checkSettings(grid.settings ?? {}, 'settings'),
    tune: checkTune(grid.tune ?? {}, 'tune'),
    seeds: checkSeeds(grid.seeds ?? [1], 'seeds'),
  };
  const cells = grid.cells.flatMap((cell, i) => parseCell(cell, `cells[${i}]`, common));
  if (cells.length > MOST) throw invalid('cells', cells.length, `at most ${MOST}`);
  const labels = new Set<string>();
  for (const { label } of cells) {
    if (labels.has(label)) throw invalid('cells', label, 'different names; give one of the two cells a "name"');
    labels.add(label);
  }
  checkBases(cells);
  return { task, cells };
}

interface Common {
  settings: Settings;
  tune: Record<string, Settings[string][]>;
  seeds: number[];
}

function parseCell(value: unknown, where: string, common: Common): Cell[] {
  const cell = fields(value, where, CELL_FIELDS);
  const { name } = cell;
  if (name !== undefined && (typeof name !== 'string' || !/^[\w .+-]{1,60}$/.test(name))) {
    throw invalid(`${where}.name`, name, 'a short name of letters, digits, spaces and . + - _');
  }
  const own = checkSettings(cell.with ?? {}, `${where}.with`);
  const tune = cell.tune === undefined ? common.tune : checkTune(cell.tune, `${where}.tune`);
  const seeds = cell.seeds === undefined ? common.seeds : checkSeeds(cell.seeds, `${where}.seeds`);
  const axes = Object.fromEntries(
    AXES.filter((axis) => cell[axis] !== undefined).map((axis) => [axis, checkList(cell[axis], `${where}.${axis}`)]),
  );
  axes.method ??= [own.method ?? common.settings.method ?? 'doped-kron'];
  // What a cell sets itself is not tuned.
  const twice = Object.keys(own).find((key) => AXES.some((axis) => axis === key && cell[axis] !== undefined));
  if (twice !== undefined) throw invalid(`${where}.with`, twice, 'only settings that the cell does not give itself');
  const settled = (key: string) => Object.hasOwn(own, key) || Object.hasOwn(axes, key);
  const useless = Object.keys(cell.tune ?? {}).find(settled);
  if (useless !== undefined) throw invalid(`${where}.tune`, useless, 'only settings that the cell leaves open');
  const tuned = Object.entries(tune).filter(([key]) => !settled(key));
  const candidates = product(Object.fromEntries(tuned), `${where}.tune`);
  const points = product(axes, where);
  if (axes.method.every((method) => method === 'dense') && settled('compression')) {
    throw invalid(`${where}: compression`, axes.compression ?? own.compression, 'none with the method dense');
  }
  return points.map((point) => {
    const settings: Settings = { ...common.settings, ...own, ...point };
    for (const key of Object.keys(candidates[0])) delete settings[key];
    if (settings.seed !== undefined) throw invalid(`${where}: seed`, settings.seed, 'a list "seeds" instead');
    const method = String(settings.method);
    const dense = method === 'dense';
    if (dense) delete settings.compression;
    else settings.compression ??= 25;
    const compression = dense ? 1 : Number(settings.compression);
    const given = AXES.filter((axis) => axis !== 'method' && settings[axis] !== undefined);
    // A name needs no more than the axes with several values.
    const parts = given.filter((axis) => axis in axes && (name === undefined || axes[axis].length > 1));
    const texts = parts.map((axis) => (axis === 'compression' ? `${settings[axis]}x` : `${axis} ${settings[axis]}`));
    const several = name !== undefined && axes.method.length > 1;
    const label = [name ?? method, ...(several ? [method] : []), ...texts].join(' ');
    const shrunk = method === SMALL_DENSE ? shrink(settings, where) : 1;
    return { label, method, compression, shrunk, settings, candidates, seeds };
  });
}

/** Makes the settings those of a smaller dense LSTM, whose parameters grow with the square of its units. */
function shrink(settings: Settings, where: string): number {
  const { hidden, compression } = settings;
  if (typeof hidden !== 'number' || !Number.isInteger(hidden) || hidden < 1 || !(Number(compression) >= 1)) {
    throw invalid(
      `${where}: ${SMALL_DENSE}`,
      [hidden, compression],
      'a whole number for "hidden" and a number >= 1 for "compression", which together give its units',
    );
  }
  settings.method = 'dense';
  settings.hidden = Math.max(1, Math.floor(hidden / Math.sqrt(Number(compression))));
  delete settings.compression;
  const ratio = hidden / settings.hidden;
  return ratio * ratio;
}

/** All combinations of the values; the last key varies fastest. */
function product(lists: Record<string, Settings[string][]>, where: string): Settings[] {
  const count = Object.values(lists).reduce((product, { length }) => product * length, 1);
  if (count > MOST) throw invalid(where, count, `at most ${MOST} combinations`);
  return Object.entries(lists).reduce<Settings[]>(
    (done, [key, values]) => done.flatMap((settings) => values.map((value) => ({ ...settings, [key]: value }))),
    [{}],
  );
}

const isReference = (value: unknown) => typeof value === 'string' && value.startsWith('@');

/** Labels of the cells whose models a cell needs. */
export function basesOf({ settings }: Cell): string[] {
  return [...new Set(MODELS.flatMap((key) => (isReference(settings[key]) ? [String(settings[key]).slice(1)] : [])))];
}

function checkBases(cells: readonly Cell[]): void {
  const before = new Set<string>();
  for (const cell of cells) {
    for (const label of basesOf(cell)) {
      if (before.has(label)) continue;
      const known = [...before].map((name) => `@${name}`).join(', ');
      throw invalid(
        `cell ${show(cell.label)}`,
        `@${label}`,
        known ? `a cell before it: ${known}` : 'a cell before it; there is none',
      );
    }
    before.add(cell.label);
  }
}

/** Splits a grid into parts that do not depend on each other. */
export function independentParts({ cells }: Grid): Cell[][] {
  const parts: Cell[][] = [];
  for (const cell of cells) {
    const wanted = basesOf(cell);
    const joined = parts.filter((part) => part.some(({ label }) => wanted.includes(label)));
    for (const part of joined) parts.splice(parts.indexOf(part), 1);
    // A cell that is not tuned, and that no other needs, is split into its seeds below.
    parts.push([...joined.flat(), cell]);
  }
  return parts.flatMap((part) => {
    const [only] = part;
    if (part.length > 1 || only.candidates.length > 1) return [part];
    return only.seeds.map((seed) => [{ ...only, seeds: [seed] }]);
  });
}

/** The runs of a cell; `records` has the finished ones by name. */
export function runsOf(grid: Grid, cell: Cell, records: ReadonlyMap<string, RunRecord>): CellRuns {
  return findRuns(grid, cell, records, new Map());
}

/** The same; `known` has the runs of the cells seen so far, which several others may need. */
function findRuns(
  grid: Grid,
  cell: Cell,
  records: ReadonlyMap<string, RunRecord>,
  known: Map<string, CellRuns>,
): CellRuns {
  const before = known.get(cell.label);
  if (before) return before;
  const runs = makeRuns(grid, cell, records, (base) => findRuns(grid, base, records, known));
  known.set(cell.label, runs);
  return runs;
}

function makeRuns(
  grid: Grid,
  cell: Cell,
  records: ReadonlyMap<string, RunRecord>,
  runsOfBase: (cell: Cell) => CellRuns,
): CellRuns {
  const bases = basesOf(cell).map((label) => {
    const base = grid.cells.find((other) => other.label === label)!;
    return { label, final: runsOfBase(base).final };
  });
  if (bases.some(({ final }) => final.length === 0)) return { tuning: [], final: [] };
  const run = (candidate: Settings, seed: number): Run => {
    const found = bases.map(({ label, final }): [string, Run] => [
      `@${label}`,
      final.find(({ settings }) => settings.seed === seed) ?? final[0],
    ]);
    return makeRun(grid.task, cell, { ...cell.settings, ...candidate, seed }, new Map(found));
  };
  const tuning = cell.candidates.map((candidate) => run(candidate, cell.seeds[0]));
  const chosen = choose(tuning.map(({ name }) => records.get(name)));
  if (cell.candidates.length > 1 && chosen === undefined) return { tuning, final: [] };
  return { tuning, final: cell.seeds.map((seed) => run(cell.candidates[chosen ?? 0], seed)) };
}

/** The index of the best record on the validation split; undefined if some are missing, or all have failed. */
function choose(records: readonly (RunRecord | undefined)[]): number | undefined {
  if (records.includes(undefined)) return undefined;
  const good = records.flatMap((record, i) => (record!.result ? [{ i, ...record!.result.valid }] : []));
  good.sort(byQuality);
  return good[0]?.i;
}

function makeRun(task: string, cell: Cell, settings: Settings, found: Map<string, Run>): Run {
  const bases = new Map(
    Object.entries(settings).flatMap(([key, value]): [string, Run][] => {
      const base = found.get(String(value));
      return base ? [[key, base]] : [];
    }),
  );
  const named = { ...settings, ...Object.fromEntries([...bases].map(([key, { name }]) => [key, `@${name}`])) };
  const full = Object.entries({ task, ...named }).sort(([a], [b]) => (a < b ? -1 : 1));
  const hash = createHash('sha256').update(JSON.stringify(full)).digest('hex').slice(0, 8);
  const { level, block, cmr, lr, seed } = settings;
  const parts = [
    task,
    level,
    cell.method,
    `${cell.compression}x`,
    block !== undefined && `block${block}`,
    cmr !== undefined && `cmr${cmr}`,
    lr !== undefined && `lr${lr}`,
    `s${seed}`,
    hash,
  ];
  const name = parts
    .flatMap((part) => (part === undefined || part === false ? [] : String(part).slice(0, 24)))
    .join('-');
  return { name: name.replaceAll(/[^\w.+-]/g, '_'), cell, settings: named, bases };
}

function fields(value: unknown, where: string, known: readonly string[]): Record<string, unknown> {
  if (!isObject(value)) throw invalid(where, value, 'an object');
  const other = Object.keys(value).find((key) => !known.includes(key));
  if (other !== undefined) throw invalid(where, other, `only the fields ${known.join(', ')}`);
  return value;
}

const isSetting = (value: unknown): value is Settings[string] =>
  ['string', 'boolean'].includes(typeof value) || Number.isFinite(value);

function checkSettings(value: unknown, where: string): Settings {
  if (!isObject(value)) throw invalid(where, value, 'an object');
  for (const [key, setting] of Object.entries(value)) {
    if (!isSetting(setting)) throw invalid(`${where}: ${key}`, setting, 'a number, a string, true or false');
    if (isReference(setting) && !MODELS.includes(key)) {
      throw invalid(`${where}: ${key}`, setting, `@NAME, the model of a cell, only for ${MODELS.join(' and ')}`);
    }
  }
  return value as Settings;
}

function checkList(value: unknown, where: string): Settings[string][] {
  const list = Array.isArray(value) ? value : [value];
  const good = list.length > 0 && list.every((one) => isSetting(one) && !isReference(one));
  if (!good || new Set(list.map(String)).size < list.length) {
    throw invalid(where, value, 'a number, a string, true or false, or a list of different ones');
  }
  return list;
}

function checkTune(value: unknown, where: string): Record<string, Settings[string][]> {
  if (!isObject(value)) {
    throw invalid(where, value, 'an object of lists, such as {"lr": [0.003, 0.006]}');
  }
  const other = ['method', 'compression', 'seed'].find((key) => Object.hasOwn(value, key));
  if (other !== undefined) throw invalid(where, other, 'only settings that do not tell the cells and their runs apart');
  return Object.fromEntries(Object.entries(value).map(([key, list]) => [key, checkList(list, `${where}.${key}`)]));
}

function checkSeeds(value: unknown, where: string): number[] {
  const good =
    Array.isArray(value) && value.length > 0 && value.every((seed) => Number.isSafeInteger(seed) && seed >= 0);
  if (!good || new Set(value).size < value.length || value.length > MOST) {
    throw invalid(where, value, `a list of different whole numbers >= 0, at most ${MOST} of them`);
  }
  return value as number[];
}
