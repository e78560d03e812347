import { createHash } from 'node:crypto';
import { InputError } from '../../errors.js';
import { isObject } from '../../values.js';
import { byQuality, type RunRecord } from './record.js';

// A grid as its file describes it, and the runs that it comes to. A cell is a method at a compression, with whatever
// else sets it apart: it is tuned with its first seed, then run with the others at what was chosen.

/** Options of `dopant train` by their names there, without the dashes. */
export type Settings = Record<string, string | number | boolean>;

export interface Grid {
  task: string;
  cells: Cell[];
}

export interface Cell {
  /** Its name in reports, one of a kind in the grid. */
  label: string;
  method: string;
  /** What was asked for; 1 for dense. */
  compression: number;
  /** Parameters of the dense LSTM that was asked for over those of the smaller dense one that it is; 1 otherwise. */
  shrunk: number;
  /** All but what is tuned and the seed. A value @LABEL is the model of another cell. */
  settings: Settings;
  /** What is tried with the first seed; one entry where nothing is tuned. */
  candidates: Settings[];
  seeds: number[];
}

export interface Run {
  /** The name of its record: readable, and different for different settings. */
  name: string;
  cell: Cell;
  settings: Settings;
  /** Runs whose models it starts from, by the option that names the model. */
  bases: Map<string, Run>;
}

/** The runs of a cell, as far as the records tell which they are. */
export interface CellRuns {
  /** One a candidate; empty as long as a cell whose models it needs is not tuned. */
  tuning: Run[];
  /** One a seed, at the chosen rate; empty as long as that is not known. */
  final: Run[];
}

/** A dense model of fewer units, in the budget of the compression: a method of grids alone. */
const SMALL_DENSE = 'small-dense';

const AXES = ['method', 'compression', 'block', 'cmr'] as const;
const GRID_FIELDS = ['task', 'settings', 'tune', 'seeds', 'cells'];
const CELL_FIELDS = [...AXES, 'name', 'with', 'tune', 'seeds'];

/** Throws InputError, which names the field, for anything that is no grid. */
export function parseGrid(value: unknown): Grid {
  const grid = fields(value, 'the file', GRID_FIELDS);
  const task = grid.task ?? 'lm';
  if (typeof task !== 'string') throw wrong('task', task, "the name of a task, such as 'lm'");
  if (!Array.isArray(grid.cells) || grid.cells.length === 0) {
    throw wrong('cells', grid.cells, 'a list with at least one object, such as [{"method": "dense"}]');
  }
  const common = {
    settings: checkSettings(grid.settings ?? {}, 'settings'),
    tune: checkTune(grid.tune ?? {}, 'tune'),
    seeds: checkSeeds(grid.seeds ?? [1], 'seeds'),
  };
  const cells = grid.cells.flatMap((cell, i) => parseCell(cell, `cells[${i}]`, common));
  const labels = new Set<string>();
  for (const { label } of cells) {
    if (labels.has(label)) throw new InputError(`cells: two are called '${label}'; give one of them a "name"`);
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
    throw wrong(`${where}.name`, name, 'a short name of letters, digits, spaces and . + - _');
  }
  const own = checkSettings(cell.with ?? {}, `${where}.with`);
  const tune = cell.tune === undefined ? common.tune : checkTune(cell.tune, `${where}.tune`);
  const seeds = cell.seeds === undefined ? common.seeds : checkSeeds(cell.seeds, `${where}.seeds`);
  const axes = Object.fromEntries(
    AXES.filter((axis) => cell[axis] !== undefined).map((axis) => [axis, checkList(cell[axis], `${where}.${axis}`)]),
  );
  axes.method ??= [own.method ?? common.settings.method ?? 'doped-kron'];
  // What a cell settles is not tuned.
  const candidates = product(Object.fromEntries(Object.entries(tune).filter(([key]) => !(key in own || key in axes))));
  return product(axes).map((point) => {
    const settings: Settings = { ...common.settings, ...own, ...point };
    for (const key of Object.keys(candidates[0])) delete settings[key];
    if (settings.seed !== undefined) throw wrong(`${where}: seed`, settings.seed, 'a list of them in "seeds"');
    const method = String(settings.method);
    const dense = method === 'dense';
    if (dense) delete settings.compression;
    else settings.compression ??= 25;
    const compression = dense ? 1 : Number(settings.compression);
    const told = AXES.filter((axis) => axis !== 'method' && settings[axis] !== undefined);
    // A name says it all but for what the cell has several of.
    const parts = told.filter((axis) => axis in axes && (name === undefined || axes[axis].length > 1));
    const texts = parts.map((axis) => (axis === 'compression' ? `${settings[axis]}x` : `${axis} ${settings[axis]}`));
    const several = name !== undefined && axes.method.length > 1;
    const label = [name ?? method, ...(several ? [method] : []), ...texts].join(' ');
    const shrunk = method === SMALL_DENSE ? shrink(settings, where) : 1;
    return { label, method, compression, shrunk, settings, candidates, seeds };
  });
}

/** A dense LSTM has parameters as the square of its units. */
function shrink(settings: Settings, where: string): number {
  const { hidden, compression } = settings;
  if (typeof hidden !== 'number' || !(Number(compression) >= 1)) {
    throw new InputError(
      `${where}: ${SMALL_DENSE} makes a number of units from "hidden" and "compression"; ${JSON.stringify(hidden)} and ${JSON.stringify(compression)} were given`,
    );
  }
  settings.method = 'dense';
  settings.hidden = Math.max(1, Math.floor(hidden / Math.sqrt(Number(compression))));
  delete settings.compression;
  const ratio = hidden / settings.hidden;
  return ratio * ratio;
}

/** Every combination of the values, the last key's changing fastest. */
function product(lists: Record<string, Settings[string][]>): Settings[] {
  return Object.entries(lists).reduce<Settings[]>(
    (done, [key, values]) => done.flatMap((settings) => values.map((value) => ({ ...settings, [key]: value }))),
    [{}],
  );
}

/** Labels of the cells whose models a cell wants. */
export function basesOf({ settings }: Cell): string[] {
  return Object.values(settings).flatMap((value) =>
    typeof value === 'string' && value.startsWith('@') ? [value.slice(1)] : [],
  );
}

function checkBases(cells: readonly Cell[]): void {
  const before = new Set<string>();
  for (const cell of cells) {
    for (const label of basesOf(cell)) {
      if (before.has(label)) continue;
      const known = [...before].join(', ') || 'none';
      throw new InputError(
        `cell '${cell.label}': @${label} is no cell that comes before it in the file; those are: ${known}`,
      );
    }
    before.add(cell.label);
  }
}

/** Runs that depend on one another stay together: a part of the grid wants nothing of the others. */
export function independentParts({ cells }: Grid): Cell[][] {
  const parts: Cell[][] = [];
  for (const cell of cells) {
    const wanted = basesOf(cell);
    const joined = parts.filter((part) => part.some(({ label }) => wanted.includes(label)));
    for (const part of joined) parts.splice(parts.indexOf(part), 1);
    // A cell that neither tunes nor is tuned for comes apart into its seeds.
    parts.push([...joined.flat(), cell]);
  }
  return parts.flatMap((part) => {
    const [only] = part;
    if (part.length > 1 || only.candidates.length > 1) return [part];
    return only.seeds.map((seed) => [{ ...only, seeds: [seed] }]);
  });
}

/** The runs of a cell; `records` has those that are finished, by name. */
export function runsOf(grid: Grid, cell: Cell, records: ReadonlyMap<string, RunRecord>): CellRuns {
  const bases = basesOf(cell).map((label) => {
    const base = grid.cells.find((other) => other.label === label)!;
    return { label, final: runsOf(grid, base, records).final };
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

/** The number of the best on the validation split, once all are there; undefined too when all have failed. */
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
  const name = parts.filter((part) => part !== undefined && part !== false).join('-');
  return { name: name.replaceAll(/[^\w.+-]/g, '_'), cell, settings: named, bases };
}

function wrong(field: string, given: unknown, wanted: string): InputError {
  const shown = given === undefined ? 'nothing' : JSON.stringify(given);
  return new InputError(`${field}: ${shown} was given; ${wanted} is wanted`);
}

function fields(value: unknown, where: string, known: readonly string[]): Record<string, unknown> {
  if (!isObject(value)) throw wrong(where, value, 'an object');
  const other = Object.keys(value).find((key) => !known.includes(key));
  if (other !== undefined)
    throw new InputError(`${where}: there is no field '${other}'; known are ${known.join(', ')}`);
  return value;
}

const isSetting = (value: unknown): value is Settings[string] =>
  ['string', 'boolean'].includes(typeof value) || Number.isFinite(value);

function checkSettings(value: unknown, where: string): Settings {
  if (!isObject(value)) throw wrong(where, value, 'an object');
  for (const [key, setting] of Object.entries(value)) {
    if (!isSetting(setting)) throw wrong(`${where}: ${key}`, setting, 'a number, a text, or true');
  }
  return value as Settings;
}

function checkList(value: unknown, where: string): Settings[string][] {
  const list = Array.isArray(value) ? value : [value];
  if (list.length === 0 || !list.every(isSetting)) throw wrong(where, value, 'a value, or a list of values,');
  return list;
}

function checkTune(value: unknown, where: string): Record<string, Settings[string][]> {
  if (!isObject(value)) {
    throw wrong(where, value, 'an object of lists, such as {"lr": [0.003, 0.006]},');
  }
  return Object.fromEntries(Object.entries(value).map(([key, list]) => [key, checkList(list, `${where}.${key}`)]));
}

function checkSeeds(value: unknown, where: string): number[] {
  const good =
    Array.isArray(value) && value.length > 0 && value.every((seed) => Number.isSafeInteger(seed) && seed >= 0);
  if (!good || new Set(value).size < value.length) throw wrong(where, value, 'a list of different whole numbers');
  return value as number[];
}
