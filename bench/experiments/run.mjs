// Runs all grids, those of the quoted figures first, and makes the tables: `npm run experiments`. It goes on where it
// was stopped. Options go to each `dopant experiment`: `npm run experiments -- --jobs 1`.
import { spawnSync } from 'node:child_process';

const run = (...args) => {
  const { status } = spawnSync(process.execPath, args, { stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
};
for (const grid of [
  'word',
  'char',
  'anneal',
  'recipe',
  'blocks',
  'intent',
  'tag',
  'series',
  'cma',
  'long',
  'char128',
  'small-word',
  'small-char',
  'equal',
  'adaptive',
  'optimiser-word',
  'optimiser-intent',
  'translate-rates',
  'translate-short',
  'translate',
  'medium-rates',
  'medium',
]) {
  run('dist/cli/main.js', 'experiment', `bench/experiments/${grid}.json`, ...process.argv.slice(2));
}
run('bench/run.mjs', 'experiments/tables');
