import { InputError, invalid } from '../../errors.js';
import { initSync, loadSync, type Translation, Translator } from '../../infer/index.js';
import { writeFileAtomically } from '../../io/files.js';
import { named, naming } from '../model.js';
import { readModelBytes } from '../model-bytes.js';
import { checkOutputs } from '../outputs.js';
import { renderPage } from '../report/page.js';

interface TranslateArguments {
  beam: number;
  report?: string;
  json?: boolean;
}

/** Translations that a page shows: more would be long to look through. */
const MOST_SHOWN = 100;

/** Prints the translation of a text, or of each line of stdin. */
export async function translate(path: string, text: string | undefined, given: TranslateArguments): Promise<void> {
  const { beam, report, json } = given;
  if (text === undefined && process.stdin.isTTY) {
    throw invalid('text', text, 'a text to translate, or lines piped into the command');
  }
  if (report !== undefined) {
    await checkOutputs([{ option: '--report', path: report }], [{ option: '<model>', path }]);
  }
  const { bytes } = await readModelBytes(path);
  // Plain SIMD: the same figures on every machine.
  initSync({ simd: 'plain' });
  const translator = naming(path, () => new Translator(loadSync(bytes)));
  const shown: Translation[] = [];
  try {
    for await (const line of text === undefined ? lines() : [text]) {
      const translation = await translator.translateAsync(line, { beam });
      if (shown.length < MOST_SHOWN) shown.push(translation);
      process.stdout.write(json ? `${JSON.stringify(asJson(translation))}\n` : `${translation.text}\n`);
    }
  } catch (error) {
    throw error instanceof InputError ? error : named(path, error);
  }
  if (report === undefined) return;
  const page = renderPage({
    title: path,
    subtitle: `beam ${beam}`,
    sections: [],
    translations: shown.filter(({ tokens }) => tokens.length > 0),
  });
  await writeFileAtomically(report, page);
}

/** Weights with three digits: more say nothing. */
const asJson = ({ attention, ...translation }: Translation) => ({
  ...translation,
  attention: attention.map((row) => Array.from(row, (weight) => Number(weight.toFixed(3)))),
});

/** The lines of stdin. */
async function* lines(): AsyncGenerator<string> {
  process.stdin.setEncoding('utf8');
  let rest = '';
  for await (const chunk of process.stdin) {
    const parts = (rest + chunk).split('\n');
    rest = parts.pop()!;
    yield* parts;
  }
  if (rest !== '') yield rest;
}
