// All benchmarks; prints their tables and writes them to bench/RESULTS.md, their figures to bench/results.json.

import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { formatTable } from '../src/cli/table.js';
import { benchInference } from './inference.js';
import { benchKernels } from './kernels.js';

const git = (...args: string[]) => execFileSync('git', args, { encoding: 'utf8' }).trim();

const inference = await benchInference();
const kernels = await benchKernels();

const machine = `${cpus().length} x ${cpus()[0].model}, ${process.platform} ${process.arch}`;
const versions = { node: process.version, v8: process.versions.v8, ...inference.versions };
const commit =
  git('rev-parse', 'HEAD') + (git('status', '--porcelain', '--', 'src', 'assembly', 'bench') ? ' and changes' : '');
const date = new Date().toISOString().slice(0, 10);
const { figures } = inference;
const rows = Object.entries(figures).map(([id, { value, unit, spread }]) => [
  id,
  `${value.toPrecision(3)} ${unit}`,
  spread.toPrecision(2),
]);
const text = `# Benchmarks

Written by \`npm run bench\`. ${machine}; ${Object.entries(versions)
  .map(([name, version]) => `${name} ${version}`)
  .join(', ')}; commit ${commit}; ${date}.

Medians of rounds in which all take turns; the spread is between the quartiles of the rounds.

${formatTable({ columns: ['figure', 'value', 'spread'], rows })}

${inference.text}
### Kernels of training

${kernels}`;
console.log(text);
writeFileSync('bench/RESULTS.md', text);
writeFileSync('bench/results.json', `${JSON.stringify({ machine, versions, commit, date, figures }, undefined, 2)}\n`);
