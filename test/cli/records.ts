import type { RunRecord } from '../../src/cli/experiment/record.js';
import type { Quality } from '../../src/tasks/training.js';

interface Given extends Partial<RunRecord> {
  valid?: Quality;
  test?: Quality;
}

/** A record with what is told, and anything else that a record must have. */
export function record({ valid, test, ...given }: Given = {}): RunRecord {
  const compression = given.compression ?? 1;
  const result = given.failed === undefined && {
    result: {
      valid: valid ?? { perplexity: 100 },
      ...(test && { test }),
      parameters: { lstm: 1000 / compression, total: 5000 },
      compression: { parameters: compression, bytes: compression / 2 },
      fileBytes: 20_000,
    },
  };
  return {
    name: 'run',
    cell: 'dense',
    task: 'lm',
    method: 'dense',
    compression,
    settings: { data: 'sotu', seed: 1 },
    tuned: [],
    ...result,
    curves: [],
    timing: { seconds: 1, tokensPerSecond: 1000, step: { lstm: 10, token: 20 }, node: 'v20', cpu: 'none' },
    dopant: { version: '0.0.0' },
    ...given,
  };
}
