// `node bench/run.mjs main inference`, `training` or `translation`: prints the tables and writes them, see report.ts.

import { writeReport } from './report.js';

const [, , , what] = process.argv;
if (what === 'inference') {
  const { benchInference } = await import('./inference.js');
  const { benchKernels } = await import('./kernels.js');
  const inference = await benchInference();
  const text = `${inference.text}\n### Kernels of training\n\n${await benchKernels()}`;
  writeReport('Inference', 'npm run bench', { ...inference, text });
} else if (what === 'training') {
  const { benchTraining } = await import('./training.js');
  writeReport('Training', 'npm run bench:train', await benchTraining());
} else if (what === 'translation') {
  const { benchTranslation } = await import('./translation.js');
  writeReport('Translation', 'npm run bench:translation', await benchTranslation());
} else throw new Error(`'${what}' was given; inference, training or translation is wanted`);
