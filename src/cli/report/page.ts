// One HTML page on what training runs did: tables, charts, samples and patterns. It asks for nothing from the network.
// Every text is escaped by `html`; only what is marked `raw` goes into the page as it is.

import { html, raw } from 'hono/html';
import uplotStyle from 'uplot/dist/uPlot.min.css';
import type { Table } from '../table.js';
import { type Chart, chartScripts, renderCharts } from './charts.js';
import { type Comparison, comparisonChart } from './comparison-chart.js';
import { type Attended, renderHeatMaps } from './heat-map.js';
import pageStyle from './page.css';
import { type MatrixPattern, patternScripts, renderPatterns } from './patterns.js';
import { runCharts } from './run-charts.js';
import { familiesOf, type ReportRun } from './runs.js';
import { renderTable } from './table.js';

export interface Page {
  title: string;
  subtitle: string;
  sections: Section[];
  patterns?: MatrixPattern[];
  /** What translations attended to. */
  translations?: readonly Attended[];
}

/** What is shown together because it can be compared. */
export interface Section {
  /** Left out where there is only one section. */
  name?: string;
  notes?: string[];
  table: Table;
  /** More tables, folded away, by their titles. */
  details?: { title: string; table: Table }[];
  comparison?: Comparison;
  runs: ReportRun[];
  samples: { name: string; text: string }[];
}

/** A page of one section. */
export interface Report extends Section {
  title: string;
  subtitle: string;
}

/** The page of one section. */
export function renderReport({ title, subtitle, ...section }: Report): string {
  return renderPage({ title, subtitle, sections: [section] });
}

/** The whole page. Parts without data are left out. */
export function renderPage({ title, subtitle, sections, patterns = [], translations = [] }: Page): string {
  const charts = sections.map(chartsOf);
  return `${html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<link rel="icon" href="data:,">
<title>${title}</title>
<style>${raw(uplotStyle + pageStyle)}</style>
</head>
<body>
<header>
<h1>${title}</h1>
<p>${subtitle}</p>
</header>
<main>
${sections.map((section, i) => renderSection(section, charts[i]))}${renderPatterns(patterns)}${renderHeatMaps(translations)}</main>
${chartScripts(charts.flat())}${patternScripts(patterns)}</body>
</html>
`}`;
}

function chartsOf({ comparison, runs }: Section): Chart[] {
  return [...(comparison ? comparisonChart(comparison, familiesOf(runs)) : []), ...runCharts(runs)];
}

function renderSection({ name, notes = [], table, details = [], runs, samples }: Section, charts: Chart[]) {
  const heading = (what: string) => (name ? `${name}: ${what.toLowerCase()}` : what);
  const results = html`<section>
<h2>${heading('Results')}</h2>
${notes.map((note) => html`<p>${note}</p>\n`)}${renderTable(table)}${details.map(renderDetails)}</section>
`;
  return [
    table.rows.length > 0 && results,
    renderCharts(heading('Training'), charts, runs),
    renderSamples(heading('Samples'), samples),
  ];
}

const renderDetails = ({ title, table }: { title: string; table: Table }) =>
  html`<details><summary>${title}</summary>\n${renderTable(table)}</details>\n`;

function renderSamples(heading: string, samples: Section['samples']) {
  if (samples.length === 0) return '';
  return html`<section>
<h2>${heading}</h2>
<div class="samples">
${samples.map(({ name, text }) => html`<figure><figcaption>${name}</figcaption><pre>${text}</pre></figure>\n`)}</div>
</section>
`;
}
