import type { Plan } from '../infer/index.js';

const ROUNDS = 100;
const STEPS_A_ROUND = 20;

/** Microseconds. */
export interface StepTimes {
  /** The LSTM layers alone. */
  lstm: number;
  /** With embedding and softmax head. */
  token: number;
}

/** Medians of one step of each model; the models take turns. */
export function timeSteps(plans: readonly Plan[]): StepTimes[] {
  const runs = plans.map((plan) => {
    const session = plan.session();
    const x = new Float32Array(plan.hidden);
    const timed = (step: () => void) => {
      const start = performance.now();
      for (let i = 0; i < STEPS_A_ROUND; i++) step();
      return ((performance.now() - start) / STEPS_A_ROUND) * 1000;
    };
    return { lstm: () => timed(() => session.step(x)), token: () => timed(() => session.next(1)) };
  });
  const times = plans.map(() => ({ lstm: [] as number[], token: [] as number[] }));
  for (let round = 0; round < ROUNDS; round++) {
    runs.forEach(({ lstm, token }, i) => {
      times[i].lstm.push(lstm());
      times[i].token.push(token());
    });
  }
  const median = (values: number[]) => values.sort((a, b) => a - b)[values.length >> 1];
  return times.map(({ lstm, token }) => ({ lstm: median(lstm), token: median(token) }));
}
