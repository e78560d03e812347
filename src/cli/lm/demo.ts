import { rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { LanguageModel, load, type Model } from '../../infer/index.js';
import { makeFolder, writeFileAtomically } from '../../io/files.js';
import { defaultOptions, type LanguageModelOptions } from '../../tasks/lm/training.js';
import { checkOutputs } from '../outputs.js';
import { describeStep, formatDuration, startBars, timeLeft } from '../progress.js';
import { renderReport } from '../report/page.js';
import { Interrupted, STOPPED, StopSignals } from '../stopping.js';
import { formatTable, resultTable, transpose } from '../table.js';
import { claimFolder } from '../train.js';
import type { StepReport } from '../training.js';
import type { DemoJob, DemoMessage } from './demo-worker.js';
import { timeSteps } from './timing.js';

const COMPRESSION = 25;
// The trainings take two or three minutes, side by side on two cores. The experiments chose this dropout for dense models of
// this size.
const SOURCE = { data: 'sotu', level: 'word', vocab: 4000, maxTokens: 60_000 } as const;
const SETTINGS = { hidden: 128, epochs: 4, dropout: 0.1 } as const;
const MODELS: readonly DemoModel[] = [
  { name: 'dense', file: 'dense.safetensors', options: { method: 'dense', compression: 1 } },
  { name: 'doped-kron', file: 'doped-kron.safetensors', options: { method: 'doped-kron', compression: COMPRESSION } },
  {
    name: 'small',
    file: 'small.safetensors.gz',
    options: { method: 'doped-kron', compression: COMPRESSION, tied: true, bits: 3 },
  },
];
const PROMPT = 'the people of the united states';

interface DemoModel {
  name: string;
  file: string;
  options: Pick<LanguageModelOptions, 'method' | 'compression' | 'tied' | 'bits'>;
}

/**
 * Trains a dense, a doped and a small doped language model side by side and compares them. Writes the models, and a page with
 * their training curves, into the folder.
 */
export async function demo(folder: string): Promise<void> {
  const files = MODELS.map(({ file }) => join(folder, file));
  const page = join(folder, 'training.html');
  await makeFolder(folder);
  await checkOutputs(
    [...files, page].map((path) => ({ option: '[folder]', path })),
    [],
  );
  const start = performance.now();
  const checkpoints = MODELS.map(({ name }) => join(folder, `${name}.checkpoint`));
  const trained = await trainAll(folder, files, checkpoints);
  const outcomes = trained.map(({ result, records }, i) => ({
    result: { ...result, method: MODELS[i].name },
    records,
  }));

  const models = await Promise.all(outcomes.map(({ result }) => load(result.out)));
  const times = timeSteps(models);
  const bytes = await Promise.all(outcomes.map(async ({ result }) => (await stat(result.out)).size));
  const table = resultTable(outcomes.map(({ result }) => result));
  table.columns.push('bytes in file', 'recurrent step, us', 'whole token, us');
  for (const [i, row] of table.rows.entries()) row.push(bytes[i], times[i].lstm.toFixed(1), times[i].token.toFixed(1));
  const texts = await Promise.all(models.map(sample));
  const samples = texts.map((text, i) => ({ name: MODELS[i].name, text }));

  const duration = formatDuration(Math.round((performance.now() - start) / 1000));
  const title = 'dopant: a dense, a doped and a small doped LSTM side by side';
  const subtitle = `Word-level language models, ${SETTINGS.hidden} units, two layers, ${SOURCE.maxTokens} words of the State of the Union addresses, ${SETTINGS.epochs} epochs; ${duration}.`;
  const runs = outcomes.map(({ result, records }) => ({ name: result.method, records }));
  await writeFileAtomically(page, renderReport({ title, subtitle, table, samples, runs }));
  for (const checkpoint of checkpoints) await rm(checkpoint, { recursive: true });

  process.stdout.write(`\n${formatTable(transpose(table))}\n`);
  for (const { name, text } of samples) process.stdout.write(`\n${name}:\n${text.replace(/^/gm, '  ')}\n`);
  process.stdout.write(`\n${duration} in total. Models and curves: ${files.join(', ')}, ${page}\n`);
}

/** Trains all models side by side. While their checkpoints are there, the next call resumes the trainings. */
async function trainAll(folder: string, files: readonly string[], checkpoints: readonly string[]) {
  const signals = new StopSignals();
  process.stderr.write(
    `Training a dense, a ${COMPRESSION}x doped and a small ${COMPRESSION}x doped language model on ${SOURCE.maxTokens} words of the State of the Union addresses, side by side.\n`,
  );
  const show = progressBars();
  let release = async () => {};
  try {
    release = await claimFolder('[folder]', folder);
    for (const checkpoint of checkpoints) await makeFolder(checkpoint);
    const ends = MODELS.map(async ({ options: own }, i) => {
      const options = { ...defaultOptions('word'), ...SETTINGS, ...own };
      const places = { checkpoint: checkpoints[i], checkpointEvery: 60, out: files[i] };
      try {
        return await runJob({ source: SOURCE, options, places, stop: signals.flag }, (report) =>
          show.update(i, report),
        );
      } catch (error) {
        signals.request();
        throw error;
      }
    });
    // Wait for all: those that are still working write their checkpoints.
    const failed = (await Promise.allSettled(ends)).flatMap((end) => (end.status === 'rejected' ? [end.reason] : []));
    // A failure says more than a stop that it caused.
    if (failed.length) throw failed.find((error) => !(error instanceof Interrupted)) ?? failed[0];
    return await Promise.all(ends);
  } finally {
    show.stop();
    signals.close();
    await release();
  }
}

function runJob(job: DemoJob, onStep: (report: StepReport) => void) {
  type Outcome = Extract<DemoMessage, { kind: 'done' }>['outcome'];
  return new Promise<Outcome>((resolve, reject) => {
    const worker = new Worker(new URL('./demo-worker.js', import.meta.url), { workerData: job });
    worker.on('message', (message: DemoMessage) => {
      if (message.kind === 'step') onStep(message.report);
      else if (message.kind === 'done') resolve(message.outcome);
      else reject(new Interrupted(STOPPED));
    });
    worker.on('error', reject);
    worker.on('exit', (code) => reject(new Error(`a training thread ended with code ${code}`)));
  });
}

/** One bar per training on a terminal; elsewhere, one line for all every ten seconds. */
function progressBars(): { update(job: number, report: StepReport): void; stop(): void } {
  const clocks: ((done: number) => string)[] = [];
  const describe = (report: StepReport, job: number) => {
    clocks[job] ??= timeLeft(report.total);
    return { text: describeStep(report), left: clocks[job](report.done) };
  };
  if (process.stderr.isTTY) {
    const { bars, stop } = startBars('{name} {bar} {percentage}% | {text} | {left} left');
    const lines = MODELS.map(({ name }) => bars.create(1, 0, { name: name.padEnd(10), text: '', left: '?' }));
    return {
      update(job, report) {
        lines[job].setTotal(report.total);
        lines[job].update(report.done, describe(report, job));
      },
      stop,
    };
  }
  const latest: StepReport[] = [];
  const timer = setInterval(() => {
    const parts = latest.map((report, i) => {
      const { text, left } = describe(report, i);
      return `${MODELS[i].name} ${Math.floor((100 * report.done) / report.total)}% | ${text} | ${left} left`;
    });
    process.stderr.write(`${parts.join('; ')}\n`);
  }, 10_000);
  return {
    update(job, report) {
      latest[job] = report;
    },
    stop: () => clearInterval(timer),
  };
}

async function sample(model: Model): Promise<string> {
  let text = PROMPT;
  let tokens = 0;
  for await (const piece of new LanguageModel(model).generate(PROMPT, { temperature: 0.7, seed: 1 })) {
    text += piece.text;
    if (++tokens === 60) break;
  }
  return text;
}
