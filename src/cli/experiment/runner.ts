import { rm, stat } from 'node:fs/promises';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import type { ExperimentJob, ExperimentMessage } from '../experiment-worker.js';
import { describeStep, startJobs } from '../progress.js';
import { Interrupted, STOPPED, type StopSignals } from '../stopping.js';
import type { StepReport } from '../training.js';
import { sharesOf } from '../unknown.js';
import { claim } from './claim.js';
import type { Cell, CellRuns, Run, Settings } from './grid.js';
import { Pool } from './pool.js';
import { type RunRecord, type RunResult, readRecord, thinOut, writeRecord } from './record.js';
import { type Given, modelPath, type Tested } from './task.js';

export interface RunnerOptions {
  task: string;
  /** The folder of the records. */
  folder: string;
  records: Map<string, RunRecord>;
  jobs: number;
  given(settings: Settings): Given;
  dopant: RunRecord['dopant'];
  /** A stop makes the runs write their checkpoints; a run that fails asks for one. */
  signals: StopSignals;
  /** Total work, and how much of it is done. */
  work: { total: number; done: number };
}

/** What the runner needs to know about a cell. */
export interface Order {
  cell: Cell;
  /** Cells with a lower rank run first. */
  rank: number;
  /** Work of one run. */
  work: number;
  /** Other cells start from its models. */
  keepModels: boolean;
  /** Depends on the records so far. */
  runs(): CellRuns;
}

/** How long to wait for a run that another process works on. */
const PATIENCE_MS = 3000;
const LOOK_MS = 100;

/** Trains the runs that a folder has no records of, each on a thread of its own. */
export class Runner {
  private readonly pool: Pool;
  private readonly show: ReturnType<typeof startJobs>;
  private readonly running = new Map<string, number>(); // work done
  private finished: number;

  constructor(private readonly options: RunnerOptions) {
    const { jobs, work } = options;
    this.pool = new Pool(jobs);
    this.finished = work.done;
    this.show = startJobs(jobs, work.total);
    this.tell();
  }

  stop(): void {
    this.show.stop();
  }

  /** Tunes with the first seed, then runs the other seeds with the chosen settings. */
  async runCell(order: Order): Promise<void> {
    const { cell, keepModels, runs } = order;
    try {
      if (cell.candidates.length > 1) {
        await Promise.all(runs().tuning.map((run) => this.obtain(order, run, false)));
      }
      await Promise.all(runs().final.map((run) => this.obtain(order, run, true)));
    } catch (error) {
      this.options.signals.request();
      throw error;
    }
    if (!keepModels) await this.sweep(order);
  }

  /** Removes the models and checkpoints of finished runs. */
  async sweep({ runs }: Order): Promise<void> {
    const { tuning, final } = runs();
    for (const { name } of [...tuning, ...final]) await rm(this.scratch(name), { recursive: true, force: true });
  }

  /** Returns once there is a record of the run, written here or by another process. */
  private async obtain(order: Order, run: Run, final: boolean): Promise<void> {
    const { folder, records, signals } = this.options;
    const scratch = this.scratch(run.name);
    const look = async () => {
      const record = await this.read(run.name);
      const hasModel = await exists(modelPath(scratch));
      return { record, hasModel, complete: isComplete(record, final, order.keepModels, hasModel) };
    };
    const work = async (slot: number): Promise<'complete' | 'taken'> => {
      if ((await look()).complete) return 'complete';
      if (signals.interrupted()) throw new Interrupted(STOPPED);
      const held = await claim(scratch);
      if (!held) return 'taken';
      try {
        // Another process may have finished it in the meantime.
        const { record, hasModel, complete } = await look();
        if (complete) return 'complete';
        const made = await this.train(order, run, slot, hasModel ? record : undefined, final);
        await writeRecord(folder, made);
        records.set(run.name, made);
        return 'complete';
      } finally {
        await held.release();
      }
    };
    while ((await this.pool.use(order.rank, work)) === 'taken') {
      for (let waited = 0; waited < PATIENCE_MS && !signals.interrupted(); waited += LOOK_MS) {
        await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
      }
    }
  }

  private async read(name: string): Promise<RunRecord | undefined> {
    const { folder, records } = this.options;
    if (!(await exists(join(folder, `${name}.json`)))) return undefined;
    const record = await readRecord(folder, name);
    records.set(name, record);
    return record;
  }

  /** Trains the run; if it has a record, and its model is still there, only evaluates it on the test split. */
  private async train(
    { cell, work }: Order,
    run: Run,
    slot: number,
    before: RunRecord | undefined,
    final: boolean,
  ): Promise<RunRecord> {
    const { task, given, signals } = this.options;
    const models = [...run.bases].map(([option, { name }]) => [option, modelPath(this.scratch(name))]);
    const job: ExperimentJob = {
      task,
      given: given({ ...run.settings, ...Object.fromEntries(models) }),
      folder: this.scratch(run.name),
      train: before === undefined,
      test: final,
      stop: signals.flag,
    };
    const message = await this.runJob(job, (report) => {
      const share = report.done / report.total;
      this.running.set(run.name, share * work);
      this.show.job(slot, describeRun(run), share, describeStep(report));
      this.tell();
    });
    this.running.delete(run.name);
    if (message.kind === 'stopped') throw new Interrupted(STOPPED);
    if (before === undefined) this.finished += work;
    this.show.job(slot, 'waiting', 0, '');
    this.tell();
    if (message.kind === 'failed') return this.recordOf(run, cell, message);
    const trained = before ?? this.recordOf(run, cell, message);
    if (!final) return trained;
    const { test } = message;
    return { ...trained, final, result: { ...trained.result!, ...(test && withTest(trained.result!, test)) } };
  }

  private recordOf(run: Run, cell: Cell, message: Exclude<FinalMessage, { kind: 'stopped' }>): RunRecord {
    const { task, dopant } = this.options;
    const { name, settings } = run;
    const { label, method, compression, candidates, shrunk } = cell;
    const head = { name, cell: label, task, method, compression, settings, tuned: Object.keys(candidates[0]) };
    if (message.kind === 'failed') return { ...head, failed: message.message, curves: [], dopant };
    const { result, records, timing } = message.outcome!;
    const { parameters, bytes, file } = result.compression;
    const host = { node: process.version, cpu: cpus()[0]?.model.trim() ?? 'unknown' };
    return {
      ...head,
      result: {
        ...result,
        // A smaller dense model is compressed, too, relative to the one that the grid asks for.
        compression: {
          ...(parameters && { parameters: parameters * shrunk }),
          bytes: bytes * shrunk,
          ...(file && shrunk === 1 && { file }),
        },
        fileBytes: message.fileBytes,
        gzipBytes: message.gzipBytes,
      },
      curves: thinOut(records),
      timing: { ...timing, ...host },
      dopant,
    };
  }

  private runJob(job: ExperimentJob, onStep: (report: StepReport) => void): Promise<FinalMessage> {
    return new Promise((resolve, reject) => {
      const worker = new Worker(new URL('./experiment-worker.js', import.meta.url), { workerData: job });
      worker.on('message', (message: ExperimentMessage) => {
        if (message.kind === 'step') onStep(message.report);
        else resolve(message);
      });
      worker.on('error', reject);
      worker.on('exit', (code) => reject(new Error(`a training ended early, with code ${code}`)));
    });
  }

  private tell(): void {
    this.show.all([...this.running.values()].reduce((sum, work) => sum + work, this.finished));
  }

  private scratch(name: string): string {
    return scratchOf(this.options.folder, name);
  }
}

function withTest({ unknown, unknownLabels }: RunResult, test: Tested): Partial<RunResult> {
  const shares = sharesOf({ test: test.unknown });
  return {
    test: test.quality,
    unknown: { ...unknown, ...shares.unknown },
    ...(shares.unknownLabels && { unknownLabels: { ...unknownLabels, ...shares.unknownLabels } }),
  };
}

/** The folder for the checkpoint and the model of a run. */
export const scratchOf = (folder: string, name: string) => join(folder, '.scratch', name);

type FinalMessage = Exclude<ExperimentMessage, { kind: 'step' }>;

function isComplete(record: RunRecord | undefined, final: boolean, keepModel: boolean, hasModel: boolean): boolean {
  if (!record) return false;
  if (record.failed !== undefined) return true;
  return !final || (record.final === true && (hasModel || !keepModel));
}

function describeRun({ cell, settings }: Run): string {
  const tuned = Object.keys(cell.candidates[0]).map((key) => `${key} ${settings[key]}`);
  return [cell.label, ...tuned, `seed ${settings.seed}`].join(', ');
}

const exists = (path: string) =>
  stat(path).then(
    () => true,
    () => false,
  );
