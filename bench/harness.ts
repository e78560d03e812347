import { Bench } from 'tinybench';

/** Something to time: `run` does it `repeats` times and returns a number that depends on what it computed. */
export interface Contender {
  name: string;
  repeats: number;
  run(): number | Promise<number>;
}

const ROUNDS = 9;
const MS_A_ROUND = 60;

let checksum = 0;

/**
 * Microseconds of one repeat, by name: the median of each round. All contenders take turns, round after round, so that a
 * noisy neighbour slows them alike; quote ratios, not times. What takes seconds wants `ms` 0: no warming, and as many
 * iterations a round as it is told.
 */
export async function alternate(
  contenders: readonly Contender[],
  { rounds = ROUNDS, ms = MS_A_ROUND, iterations = 3 } = {},
): Promise<Map<string, number[]>> {
  const medians = new Map(contenders.map(({ name }) => [name, [] as number[]]));
  for (let round = 0; round < rounds; round++) {
    for (const { name, repeats, run } of contenders) {
      // Warm in every round: what ran before has emptied the caches.
      const bench = new Bench({ time: ms, warmup: ms > 0, warmupTime: ms / 3, iterations });
      const isAsync = run.constructor.name === 'AsyncFunction';
      const sync = () => {
        checksum += run() as number;
      };
      const waiting = async () => {
        checksum += await run();
      };
      bench.add(name, isAsync ? waiting : sync);
      const [contender] = isAsync ? await bench.run() : bench.runSync();
      const { result } = contender;
      if (result.state !== 'completed')
        throw new Error(`${name}: ${result.state}`, { cause: 'error' in result ? result.error : undefined });
      medians.get(name)!.push((result.latency.p50 * 1000) / repeats);
    }
    process.stderr.write(`round ${round + 1} of ${rounds}\n`);
  }
  if (Number.isNaN(checksum)) throw new Error('a contender computed NaN');
  return medians;
}

export interface Figure {
  value: number;
  unit: string;
  /** Between the quartiles of the rounds. */
  spread: number;
}

export function figure(rounds: readonly number[], unit: string): Figure {
  const at = (share: number) => quantile(rounds, share);
  return { value: at(0.5), unit, spread: at(0.75) - at(0.25) };
}

/** Round by round, `fast` against `slow`. */
export function ratio(slow: readonly number[], fast: readonly number[]): Figure {
  return figure(
    slow.map((us, round) => us / fast[round]),
    'x',
  );
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.round(share * (sorted.length - 1))];
}
