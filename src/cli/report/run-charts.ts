import type { MatrixAdaptation, TrainRecord } from '../../train/records.js';
import { type Chart, type Line, makeChart } from './charts.js';
import { familiesOf, type ReportRun } from './runs.js';

/** More runs with co-matrix records than this are drawn with fewer lines each: means over their matrices. */
const MOST_IN_FULL = 2;

/** The charts of the runs' records; those without data are left out. */
export function runCharts(runs: ReportRun[]): Chart[] {
  const styles = new Map(
    [...familiesOf(runs).values()].flatMap(({ colour, members }) =>
      members.map((run, dash): [ReportRun, Pick<Line, 'colour' | 'dash' | 'hidden'>] => [
        run,
        { colour, dash, hidden: run.hidden ?? false },
      ]),
    ),
  );

  /** A line for each run, made of its records of one kind. */
  const runLines = <K extends TrainRecord['kind']>(kind: K, value: (record: RecordOf<K>) => number): Line[] =>
    runs.map((run) => {
      const points = recordsOf(run.records, kind).map((record): [number, number] => [record.step, value(record)]);
      return { label: run.name, ...styles.get(run)!, points };
    });

  /** One of several lines of a run: of the run's colour and dashes of its own, or of its own colour in a run alone. */
  const part = (line: Line, name: string, style: number): Line =>
    runs.length === 1
      ? { ...line, label: name, colour: style }
      : { ...line, label: `${line.label}: ${name}`, dash: style };

  const adapted = runs.filter(({ records }) => recordsOf(records, 'cma').length > 0);

  /** A line for each matrix of each run, or for the means of many runs. */
  const matrixLines = (value: (matrix: MatrixAdaptation) => number): Line[] => {
    if (adapted.length > MOST_IN_FULL) {
      return runLines('cma', ({ matrices }) => matrices.reduce((sum, m) => sum + value(m), 0) / matrices.length);
    }
    return adapted.flatMap((run) => {
      const lines = new Map<string, Line>();
      for (const { step, matrices } of recordsOf(run.records, 'cma')) {
        for (const matrix of matrices) {
          const line =
            lines.get(matrix.name) ??
            part({ label: run.name, ...styles.get(run)!, dash: 0, points: [] }, matrix.name, lines.size);
          line.points.push([step, value(matrix)]);
          lines.set(matrix.name, line);
        }
      }
      return [...lines.values()];
    });
  };

  // A run without dopants has no sparsity.
  const sparsity = runLines('step', (record) => 100 * record.sparsity).filter(({ points }) =>
    points.some(([, value]) => value > 0),
  );
  const both = runLines('cma', (record) => record.both);
  const structure = runLines('cma', (record) => record.structureOnly);
  const dopants = runLines('cma', (record) => record.dopantsOnly);
  const parts = runs.flatMap((_, run) =>
    structure[run]!.points.length === 0
      ? []
      : [
          // Among many, the validation perplexity shows what both do together.
          ...(adapted.length > MOST_IN_FULL ? [] : [part(both[run]!, 'both', 0)]),
          part(structure[run]!, 'S alone', 1),
          part(dopants[run]!, 'M_sp alone', 2),
        ],
  );

  return [
    makeChart({
      title: 'Training loss',
      hint: 'Should fall fast, then slowly; a sudden rise means that the learning rate is too high or that pruning cut too deep.',
      yLabel: 'loss',
      lines: runLines('step', (record) => record.loss),
    }),
    makeChart({
      title: 'Validation perplexity',
      hint: 'Lower is better; a curve that turns upwards while the training loss still falls has begun to overfit.',
      yLabel: 'perplexity',
      lines: runLines('valid', (record) => record.perplexity ?? Number.NaN),
      scale: 'auto',
    }),
    makeChart({
      title: 'Validation accuracy',
      hint: 'Higher is better; it moves in steps where the split is small.',
      yLabel: 'right answers (%)',
      lines: runLines('valid', ({ accuracy }) => (accuracy === undefined ? Number.NaN : 100 * accuracy)),
    }),
    makeChart({
      title: 'Validation F1',
      hint: 'Higher is better: of chunks that are found whole, with the right name.',
      yLabel: 'F1 (%)',
      lines: runLines('valid', ({ f1 }) => (f1 === undefined ? Number.NaN : 100 * f1)),
    }),
    makeChart({
      title: 'Validation mean squared error',
      hint: 'Lower is better; in the units of the data, squared.',
      yLabel: 'mean squared error',
      lines: runLines('valid', ({ mse }) => mse ?? Number.NaN),
      scale: 'auto',
    }),
    makeChart({
      title: 'Sparsity of M_sp',
      hint: 'Should climb steeply, level out at its target and stay there; compare steps where it climbs with the charts below.',
      yLabel: 'zeros (%)',
      lines: sparsity,
      withZero: true,
    }),
    makeChart({
      title: 'Share of the work: |M_sp x| / |S x|',
      hint: 'Should sink as M_sp is pruned; a matrix that stays above 1 still leaves most of its work to the dopants.',
      yLabel: 'ratio of norms',
      lines: matrixLines((matrix) => matrix.dopantsNorm / matrix.structureNorm),
      scale: 'auto',
    }),
    makeChart({
      title: 'Agreement of M_sp x and S x',
      hint: 'Near 0 the two do separate work; far below 0 they cancel one another, which is co-matrix adaptation.',
      yLabel: 'cosine',
      lines: matrixLines((matrix) => matrix.cosine),
      withZero: true,
    }),
    makeChart({
      title: 'Perplexity of the parts',
      hint: 'S alone should come close to both together; far apart, S is of little use without its dopants.',
      yLabel: 'perplexity',
      lines: parts,
      scale: 'log',
    }),
    makeChart({
      title: 'Jumps at pruning steps',
      hint: 'Change of the perplexity from just before to just after each pruning; large jumps are the mark of co-matrix adaptation.',
      yLabel: 'change (%)',
      lines: runLines('prune', ({ before, after }) => 100 * (after / before - 1)),
      withZero: true,
      dots: 'only',
    }),
  ].filter(({ lines }) => lines.length > 0);
}

type RecordOf<K extends TrainRecord['kind']> = Extract<TrainRecord, { kind: K }>;

function recordsOf<K extends TrainRecord['kind']>(records: TrainRecord[], kind: K): RecordOf<K>[] {
  return records.filter((record): record is RecordOf<K> => record.kind === kind);
}
