import { takeInventory } from '../io/inventory.js';
import { measureFile } from '../io/measure-file.js';
import { ROLES } from '../nn/leaves.js';
import { Runtime } from '../wasm/runtime.js';
import { describeCompression, formatBytes } from './bytes.js';
import { loadHashedModel } from './model.js';
import { formatTable } from './table.js';
import { vocabularyOf } from './task.js';
import { taskNamed } from './tasks.js';

/** Characters of the longest bar. */
const BAR = 24;

/** Prints what a model file holds, how its bytes are shared out, and how far it is compressed. */
export async function inspect(path: string, { json }: { json?: boolean }): Promise<void> {
  const { model, bytes: file, size } = await loadHashedModel(path, new Runtime());
  const { method, compression, parameters, tensors } = takeInventory(model, measureFile(file, size));
  if (json) {
    process.stdout.write(`${JSON.stringify({ method, compression, tensors })}\n`);
    return;
  }
  const { hidden, cell = 'lstm' } = model.config;
  const vocabulary = vocabularyOf(model);
  const what = taskNamed(model.task).describeModel(model);
  const rows = tensors.map(({ name, kind, shape, nnz, bytes }) => [name, kind, shape.join(' x '), nnz, bytes]);
  const roles = ROLES.map((role) => {
    const own = tensors.filter((tensor) => tensor.role === role);
    const sum = (key: 'nnz' | 'bytes') => own.reduce((total, tensor) => total + tensor[key], 0);
    return { role: role as string, numbers: sum('nnz'), bytes: sum('bytes') };
  }).filter(({ numbers }) => numbers > 0);
  const stored = roles.reduce((total, { bytes }) => total + bytes, 0);
  // Names, shapes, the task's settings and its vocabulary.
  roles.push({ role: 'header', numbers: 0, bytes: file.length - stored });
  const bars = roles.map(({ role, numbers, bytes }) => [
    role,
    numbers || '-',
    bytes,
    numbers ? ((8 * bytes) / numbers).toFixed(1) : '-',
    '█'.repeat(Math.round((BAR * bytes) / file.length)).padEnd(BAR),
  ]);
  process.stdout.write(
    `${path}: ${method} ${what} of ${hidden} units${vocabulary ? `, ${vocabulary.size} ${vocabulary.level === 'word' ? `words (rule ${vocabulary.rule})` : 'characters'}` : ''}
${cell.toUpperCase()} matrices: ${parameters.lstm} parameters of ${parameters.total} in all; file of ${formatBytes(size)}; compressed ${describeCompression(compression)}

${formatTable({ columns: ['role', 'numbers', 'bytes', 'bits each', 'share of the file'], rows: bars })}

${formatTable({ columns: ['name', 'kind', 'shape', 'nonzeros', 'bytes'], rows })}
`,
  );
}
