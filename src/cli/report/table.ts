import { html } from 'hono/html';
import type { Table } from '../table.js';

/** A table of a page: columns of numbers are set flush right. */
export function renderTable({ columns, rows }: Table) {
  const classOf = columns.map((_, i) => rows.every((row) => isNumeric(row[i])) && html` class="number"`);
  const renderCell = (cell: string | number, i: number) => {
    const text = typeof cell === 'number' ? formatNumber(cell) : cell;
    return i === 0 ? html`<th scope="row">${text}</th>` : html`<td${classOf[i]}>${text}</td>`;
  };
  return html`<div class="scroll"><table>
<thead><tr>${columns.map((column, i) => html`<th scope="col"${classOf[i]}>${column}</th>`)}</tr></thead>
<tbody>
${rows.map((row) => html`<tr>${row.map(renderCell)}</tr>\n`)}</tbody>
</table></div>
`;
}

const formatNumber = (value: number) =>
  value.toLocaleString('en', Number.isInteger(value) ? {} : { maximumSignificantDigits: 5 });

/** Whether a cell is a number, or a text that begins like one or stands for none. */
const isNumeric = (cell: string | number | undefined) => typeof cell !== 'string' || /^([-−]?\d|[-–—]?$)/.test(cell);
