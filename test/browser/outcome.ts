// Comes after the tests: runs them, and tells whoever opened the bundle what they come to.

type Suite = () => Promise<[errors: string | true, passed: number, skipped: number, total: number]>;

export interface Outcome {
  total: number;
  passed: number;
  /** What went wrong, in words; empty if nothing did. */
  errors: string;
}

async function run(): Promise<Outcome> {
  const [suites] = (globalThis as unknown as { UVU_QUEUE: [Suite[]] }).UVU_QUEUE; // of scope.ts
  const outcome: Outcome = { total: 0, passed: 0, errors: '' };
  try {
    for (const suite of suites) {
      const [errors, passed, , total] = await suite();
      outcome.total += total;
      outcome.passed += passed;
      if (errors !== true) outcome.errors += errors;
    }
  } catch (error) {
    outcome.errors += `a hook threw: ${(error as Error).stack}`;
  }
  return outcome;
}

export const outcome = run();

// A page imports the bundle; a worker has to be told by message.
if (!('document' in globalThis)) outcome.then(postMessage);
