import { InputError, invalid } from '../../errors.js';
import { initSync, LanguageModel, loadSync } from '../../infer/index.js';
import { readFileBytes, writeFileAtomically } from '../../io/files.js';
import { exp, log } from '../../math.js';
import { EVALUATION } from '../../tasks/lm/evaluation.js';
import { decodeLanguageModel } from '../../tasks/lm/model.js';
import { encodeModel } from '../../tasks/model-file.js';
import { Runtime } from '../../wasm/runtime.js';
import type { Work } from '../../work.js';
import { naming } from '../model.js';
import { checkOutputs } from '../outputs.js';
import { showing } from '../progress.js';
import { percent, unknownTokens, warningsOf } from '../unknown.js';
import { readCorpus } from './corpus.js';
import { checkLength, encodeTexts, textInputs } from './text.js';

interface ExportArguments {
  out: string;
  head: 'f32' | 'int8';
  data?: string;
  split?: 'valid' | 'test';
  json?: boolean;
}

/** Writes a model for deployment. With a text, measures what that changes: dopant/infer runs the model before and after. */
export async function exportModel(path: string, given: ExportArguments): Promise<void> {
  const { out, head, data, split = 'test', json } = given;
  if (given.split !== undefined && data === undefined) throw invalid('--split', split, 'only with --data');
  if (head === 'int8' && data === undefined) {
    throw new InputError("--data: got nothing; expected a text, such as 'sotu', to measure what --head int8 changes");
  }
  await checkOutputs(
    [{ option: '--out', path: out }],
    [{ option: '<model>', path }, ...(data === undefined ? [] : textInputs(data))],
  );
  const before = await readFileBytes(path);
  const model = naming(path, () => decodeLanguageModel(new Runtime(), before));
  const after = encodeModel(head === 'int8' ? model.withInt8Head() : model);
  const result: Record<string, unknown> = { out, head, bytes: { before: before.length, after: after.length } };
  let text = `${out}: ${after.length} bytes, before ${before.length}\n`;
  if (data !== undefined) {
    const ids = encodeTexts((await readCorpus(data, model.vocabulary.level))[split], model.vocabulary);
    checkLength(ids, split);
    const unknown = unknownTokens([ids]);
    for (const line of warningsOf(split, { tokens: unknown })) process.stderr.write(`${line}\n`);
    // Plain SIMD: the same figures on every machine.
    initSync({ simd: 'plain' });
    const perplexities = {
      before: await measure(before, ids),
      after: await measure(after, ids),
    };
    const change = perplexities.after / perplexities.before - 1;
    Object.assign(result, { split, perplexity: perplexities, change, unknown });
    text += `${split}: perplexity ${perplexities.after.toFixed(3)}, before ${perplexities.before.toFixed(3)} (${change < 0 ? '' : '+'}${percent(change, 3)}), ${percent(unknown)} of the tokens unknown\n`;
  }
  await writeFileAtomically(out, after);
  process.stdout.write(json ? `${JSON.stringify(result)}\n` : text);
}

const measure = (bytes: Uint8Array, ids: Int32Array) =>
  showing('measuring', `${ids.length} tokens`, perplexity(new LanguageModel(loadSync(bytes)), ids));

function* perplexity(text: LanguageModel, ids: Int32Array): Work<number> {
  // One after another, the streams that `dopant eval` cuts the text into, so that both print the same figures.
  const length = Math.ceil((ids.length - 1) / EVALUATION.batch);
  let sum = 0;
  for (let i = 0; i + 1 < ids.length; i++) {
    if (i % length === 0) text.reset();
    const logits = text.next(ids[i]);
    let largest = Number.NEGATIVE_INFINITY;
    for (let v = 0; v < logits.length; v++) largest = Math.max(largest, logits[v]);
    let total = 0;
    for (let v = 0; v < logits.length; v++) total += exp(logits[v] - largest);
    sum += largest + log(total) - logits[ids[i + 1]];
    if (i % 16 === 0) yield i / ids.length;
  }
  return exp(sum / (ids.length - 1));
}
