import { LanguageModel, type Model } from '../../infer/index.js';
import { medians, type StepTimes } from '../timing.js';

/** Times one step of each language model: medians, in microseconds. The models take turns. */
export function timeSteps(models: readonly Model[]): StepTimes[] {
  const steps = models.flatMap((model) => {
    const session = model.session();
    const text = new LanguageModel(model);
    return [() => model.read(session, 1), () => text.next(1)];
  });
  const times = medians(steps);
  return models.map((_, i) => ({ lstm: times[2 * i], token: times[2 * i + 1] }));
}
