import { Evaluation } from '../tasks/language-model.js';
import { readCorpus } from './corpus.js';
import { encodeTexts } from './language-model.js';
import { loadModel } from './model.js';
import { startProgress } from './progress.js';

export async function evaluate(
  path: string,
  { data, split, json }: { data: string; split: 'valid' | 'test'; json?: boolean },
): Promise<void> {
  const model = await loadModel(path);
  const ids = encodeTexts((await readCorpus(data))[split], model.vocabulary);
  const progress = startProgress(`evaluating ${split}`, 100);
  const { loss, tokens } = new Evaluation(model).meanLoss(ids, (share) =>
    progress.update(Math.floor(100 * share), `${ids.length} tokens`),
  );
  progress.stop();
  const result = { split, perplexity: Math.exp(loss), bitsPerToken: loss / Math.LN2, tokens };
  process.stdout.write(
    json
      ? `${JSON.stringify(result)}\n`
      : `${split}: perplexity ${result.perplexity.toFixed(2)}, ${result.bitsPerToken.toFixed(3)} bits a token, ${tokens} tokens\n`,
  );
}
