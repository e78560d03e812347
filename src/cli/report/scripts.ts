import { html, raw } from 'hono/html';

/** A script element that calls a function, from its source text, with arguments that are JavaScript expressions. */
export const callScript = (run: (...args: never[]) => void, ...args: string[]) =>
  html`<script>(${raw(run.toString())})(${raw(args.join(', '))})</script>\n`;

/** A script element that holds data for the scripts of the page. */
export const dataScript = (id: string, data: unknown) =>
  // With "<" out of the way nothing in the data can end the element.
  html`<script type="application/json" id="${id}">${raw(JSON.stringify(data).replaceAll('<', '\\u003c'))}</script>\n`;

/** The expression that reads what dataScript wrote. */
export const readData = (id: string) => `JSON.parse(document.getElementById('${id}').textContent)`;
