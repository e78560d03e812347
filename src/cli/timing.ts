const ROUNDS = 100;
const STEPS_A_ROUND = 20;

/** Microseconds of one step of a model that reads token by token. */
export interface StepTimes {
  /** Of the recurrent layers alone, embedding included. */
  lstm: number;
  /** With embedding and softmax head. */
  token: number;
}

/** Ten words of a vocabulary, for timing. */
export const tenWords = (tokens: readonly string[]) =>
  Array.from({ length: 10 }, (_, i) => tokens[i % tokens.length]).join(' ');

/** Medians of the times of steps, in microseconds. They take turns, so that other work of the machine slows all of them alike. */
export function medians(steps: readonly (() => unknown)[], rounds = ROUNDS): number[] {
  const times = steps.map(() => [] as number[]);
  for (let round = 0; round < rounds; round++) {
    steps.forEach((step, which) => {
      const start = performance.now();
      for (let i = 0; i < STEPS_A_ROUND; i++) step();
      times[which].push(((performance.now() - start) / STEPS_A_ROUND) * 1000);
    });
  }
  return times.map((list) => list.sort((a, b) => a - b)[list.length >> 1]);
}
