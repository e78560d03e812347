import { takeInventory } from '../io/inventory.js';
import { loadModel } from './model.js';
import { formatTable } from './table.js';
import { vocabularyOf } from './task.js';
import { taskNamed } from './tasks.js';

/** Prints what a model file holds and how far it is compressed. */
export async function inspect(path: string, { json }: { json?: boolean }): Promise<void> {
  const model = await loadModel(path);
  const { method, compression, parameters, tensors } = takeInventory(model);
  if (json) {
    process.stdout.write(`${JSON.stringify({ method, compression, tensors })}\n`);
    return;
  }
  const { hidden, cell = 'lstm' } = model.config;
  const vocabulary = vocabularyOf(model);
  const what = taskNamed(model.task).describeModel(model);
  const rows = tensors.map(({ name, kind, shape, nnz, bytes }) => [name, kind, shape.join(' x '), nnz, bytes]);
  process.stdout.write(
    `${path}: ${method} ${what} of ${hidden} units${vocabulary ? `, ${vocabulary.size} ${vocabulary.level === 'word' ? `words (rule ${vocabulary.rule})` : 'characters'}` : ''}
${cell.toUpperCase()} matrices: ${parameters.lstm} parameters of ${parameters.total} in all; compressed ${compression.parameters ? `${compression.parameters.toFixed(2)}x in parameters, ` : ''}${compression.bytes.toFixed(2)}x in bytes

${formatTable({ columns: ['name', 'kind', 'shape', 'nonzeros', 'bytes'], rows })}
`,
  );
}
