import type { IntentPlan, Plan } from '../infer/index.js';

const ROUNDS = 100;
const STEPS_A_ROUND = 20;

/** Microseconds of one step. */
export interface StepTimes {
  /** Of the LSTM layers alone. */
  lstm: number;
  /** With embedding and softmax head. */
  token: number;
}

/** Times one step of each model: medians, in microseconds. The models take turns. */
export function timeSteps(plans: readonly Plan[]): StepTimes[] {
  const steps = plans.flatMap((plan) => {
    const session = plan.session();
    const x = new Float32Array(plan.hidden);
    return [() => session.step(x), () => session.next(1)];
  });
  const times = medians(steps);
  return plans.map((_, i) => ({ lstm: times[2 * i], token: times[2 * i + 1] }));
}

/** Times the classification of a sentence of ten words: the median, in microseconds. */
export function timeSentence(plan: IntentPlan): number {
  const { tokens } = plan.vocabulary;
  const sentence = Array.from({ length: 10 }, (_, i) => tokens[i % tokens.length]).join(' ');
  return medians([() => plan.classify(sentence)])[0];
}

/** The steps take turns, so that other work of the machine slows all of them alike. */
function medians(steps: readonly (() => unknown)[]): number[] {
  const times = steps.map(() => [] as number[]);
  for (let round = 0; round < ROUNDS; round++) {
    steps.forEach((step, which) => {
      const start = performance.now();
      for (let i = 0; i < STEPS_A_ROUND; i++) step();
      times[which].push(((performance.now() - start) / STEPS_A_ROUND) * 1000);
    });
  }
  return times.map((list) => list.sort((a, b) => a - b)[list.length >> 1]);
}
