import { takeInventory } from '../io/inventory.js';
import { loadModel } from './model.js';
import { formatTable } from './table.js';

/** Prints what a model file holds and how far it is compressed. */
export async function inspect(path: string, { json }: { json?: boolean }): Promise<void> {
  const model = await loadModel(path);
  const { method, compression, parameters, tensors } = takeInventory(model);
  if (json) {
    process.stdout.write(`${JSON.stringify({ method, compression, tensors })}\n`);
    return;
  }
  const { hidden, layers } = model.config;
  const { level, rule, size } = model.vocabulary;
  const what =
    model.task === 'intent'
      ? `intent model, ${model.labels.length} intents, ${layers} bidirectional layers`
      : `language model, ${layers} layers`;
  const rows = tensors.map(({ name, kind, shape, nnz, bytes }) => [name, kind, shape.join(' x '), nnz, bytes]);
  process.stdout.write(
    `${path}: ${method} ${what} of ${hidden} units, ${size} ${level === 'word' ? `words (rule ${rule})` : 'characters'}
LSTM matrices: ${parameters.lstm} parameters of ${parameters.total} in all; compressed ${compression.parameters ? `${compression.parameters.toFixed(2)}x in parameters, ` : ''}${compression.bytes.toFixed(2)}x in bytes

${formatTable({ columns: ['name', 'kind', 'shape', 'nonzeros', 'bytes'], rows })}
`,
  );
}
