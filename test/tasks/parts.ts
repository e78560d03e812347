import type { Training } from '../../src/tasks/training.js';
import type { Work } from '../../src/work.js';

/** Trains in parts and gives up after so many of them. Returns false where the training was over before. */
export function stopAfter(parts: number, training: Training): boolean {
  let left = parts;
  while (!training.done) {
    const work: Work<unknown> = training.evaluationDue ? training.evaluateInParts() : training.stepInParts();
    while (!work.next().done) {
      if (left-- > 0) continue;
      work.return(undefined);
      return true;
    }
  }
  return false;
}
