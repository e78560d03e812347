import { Bench } from 'tinybench';

/** Something to time: `run` does it `repeats` times and returns a number that depends on what it computed. */
export interface Task {
  name: string;
  repeats: number;
  run(): number;
}

const ROUNDS = 9;
const MS_A_ROUND = 60;

let checksum = 0;

/**
 * Median microseconds of one repeat, by name. All tasks take turns, round after round, so that a noisy neighbour slows
 * them alike; quote ratios, not times.
 */
export function alternate(tasks: readonly Task[]): Map<string, number> {
  const medians = new Map(tasks.map(({ name }) => [name, [] as number[]]));
  for (let round = 0; round < ROUNDS; round++) {
    for (const { name, repeats, run } of tasks) {
      const bench = new Bench({ time: MS_A_ROUND, warmup: round === 0, warmupTime: MS_A_ROUND, iterations: 3 });
      bench.add(name, () => {
        checksum += run();
      });
      const [task] = bench.runSync();
      const { result } = task;
      if (result.state !== 'completed')
        throw new Error(`${name}: ${result.state}`, { cause: 'error' in result ? result.error : undefined });
      medians.get(name)!.push((result.latency.p50 * 1000) / repeats);
    }
  }
  if (Number.isNaN(checksum)) throw new Error('a task computed NaN');
  return new Map([...medians].map(([name, times]) => [name, median(times)]));
}

function median(values: number[]): number {
  return values.sort((a, b) => a - b)[values.length >> 1];
}
