// What the benchmarks write: each its own part of bench/RESULTS.md and its own figures of bench/results.json; the parts
// and figures of the others stay as they are.

import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { formatTable } from '../src/cli/table.js';
import type { Figure } from './harness.js';

export interface Report {
  text: string;
  figures: Record<string, Figure>;
  /** Of the peers. */
  versions: Record<string, string>;
}

const PAGE = 'bench/RESULTS.md';
const FIGURES = 'bench/results.json';

const git = (...args: string[]) => execFileSync('git', args, { encoding: 'utf8' }).trim();

/** Writes the part of this title, by the command that made it. Figures not measured this time keep their last value. */
export function writeReport(title: string, command: string, { text, figures, versions: peers }: Report): void {
  const machine = `${cpus().length} x ${cpus()[0].model}, ${process.platform} ${process.arch}`;
  const versions = { node: process.version, v8: process.versions.v8, ...peers };
  const commit =
    git('rev-parse', 'HEAD') + (git('status', '--porcelain', '--', 'src', 'assembly', 'bench') ? ' and changes' : '');
  const date = new Date().toISOString().slice(0, 10);
  const rows = Object.entries(figures).map(([id, { value, unit, spread }]) => [
    id,
    `${value.toPrecision(3)} ${unit}`,
    spread.toPrecision(2),
  ]);
  const part = `## ${title}

Written by \`${command}\`. ${machine}; ${Object.entries(versions)
    .map(([name, version]) => `${name} ${version}`)
    .join(', ')}; commit ${commit}; ${date}.

${formatTable({ columns: ['figure', 'value', 'spread'], rows })}

${text.trim()}
`;
  console.log(part);

  const page = existsSync(PAGE) ? readFileSync(PAGE, 'utf8') : '';
  const parts = page.split(/^(?=## )/m).slice(1);
  const at = parts.findIndex((other) => other.startsWith(`## ${title}\n`));
  if (at < 0) parts.push(part);
  else parts[at] = part;
  writeFileSync(
    PAGE,
    `# Benchmarks

Medians of rounds in which all take turns; the spread is between the quartiles of the rounds.

${parts.map((other) => other.trim()).join('\n\n')}
`,
  );

  const before = existsSync(FIGURES) ? JSON.parse(readFileSync(FIGURES, 'utf8')) : {};
  const all = {
    machine,
    versions: { ...before.versions, ...versions },
    commit,
    date,
    figures: { ...before.figures, ...figures },
  };
  writeFileSync(FIGURES, `${JSON.stringify(all, undefined, 2)}\n`);
}
