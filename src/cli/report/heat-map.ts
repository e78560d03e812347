import { html } from 'hono/html';
import { JOINER } from '../../text/subwords.js';

/** What is drawn of a translation: how much each of its tokens, a row, attended to those of the text, the columns. */
export interface Attended {
  text: string;
  source: readonly string[];
  tokens: readonly string[];
  attention: readonly ArrayLike<number>[];
}

/** The heat maps of translations; nothing without one. */
export function renderHeatMaps(translations: readonly Attended[]) {
  if (translations.length === 0) return '';
  return html`<section>
<h2>Attention</h2>
<p>Each row is a token of a translation, each column one of the text: the darker, the more it attended to it. A part of a word that goes on ends with a dash.</p>
${translations.map(renderHeatMap)}</section>
`;
}

const shown = (token: string) => (token.endsWith(JOINER) ? `${token.slice(0, -1)}-` : token);

function renderHeatMap({ text, source, tokens, attention }: Attended) {
  const cell = (weight: number, from: string, to: string) =>
    html`<td class="attention-cell" style="--weight: ${weight.toFixed(3)}" title="${to} to ${from}: ${weight.toFixed(3)}"></td>`;
  return html`<figure><figcaption>${text}</figcaption>
<div class="attention-map"><table>
<thead><tr><td></td>${source.map((token) => html`<th class="attention-column" scope="col"><span>${shown(token)}</span></th>`)}</tr></thead>
<tbody>
${tokens.map(
  (token, row) =>
    html`<tr><th class="attention-row" scope="row">${shown(token)}</th>${source.map((from, i) => cell(attention[row][i], shown(from), shown(token)))}</tr>\n`,
)}</tbody>
</table></div></figure>
`;
}
