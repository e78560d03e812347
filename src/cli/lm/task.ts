import { invalid } from '../../errors.js';
import { exp } from '../../math.js';
import { MOST_CUTOFFS } from '../../network/spec.js';
import { Evaluation } from '../../tasks/lm/evaluation.js';
import { decodeLanguageModel, type LanguageModel } from '../../tasks/lm/model.js';
import {
  defaultOptions,
  type EncodedCorpus,
  type LanguageModelOptions,
  LanguageModelTraining,
} from '../../tasks/lm/training.js';
import { buildVocabulary } from '../../text/build-vocabulary.js';
import { isRule, type Level, type Rule } from '../../text/tokens.js';
import type { Vocabulary } from '../../text/vocabulary.js';
import type { Work } from '../../work.js';
import { counted } from '../counted.js';
import { option } from '../option.js';
import { oneOf, whole } from '../parsers.js';
import { type Measured, type Start, type Task, vocabularyOf } from '../task.js';
import { optimizerOf, SMALLEST_VOCABULARY, sourceOf, type TrainArguments, trainingOptions } from '../train-options.js';
import { percent, unknownTokens } from '../unknown.js';
import { commands, data } from './commands.js';
import { type Corpus, readCorpus } from './corpus.js';
import { checkLength, encodeTexts, ruleOf, type TextSource, textInputs, trainingTexts } from './text.js';
import { timeSteps } from './timing.js';

interface LanguageModelArguments extends TrainArguments {
  level?: Level;
  rule?: Rule;
  bptt?: number;
  maxTokens?: number;
  tie?: boolean;
  small?: boolean;
  adaptive?: string;
  embedding?: number;
  subwords?: boolean;
}

/** Above it, a softmax over all words takes most of the time. */
const LARGE_VOCABULARY = 10_000;

function cutoffsOf(text: string): number[] {
  const cutoffs = text.split(/, */).map((one) => (/^\d+$/.test(one) ? Number(one) : Number.NaN));
  const ascend = cutoffs.every((one, i) => one > (i ? cutoffs[i - 1] : 0));
  if (ascend && cutoffs.length <= MOST_CUTOFFS) return cutoffs;
  throw invalid('--adaptive', text, `1 to ${MOST_CUTOFFS} ascending whole numbers, such as 2000,10000`);
}

const WANTED = "a text file, a folder, or 'sotu'";

export const languageModelTask: Task<TextSource, Corpus, LanguageModelTraining, EncodedCorpus, Vocabulary> = {
  training: LanguageModelTraining,
  about: 'train a language model with a compressed LSTM or GRU on text',
  wanted: WANTED,
  options: () => [
    data(),
    option('--level <level>', 'word or char: what tokens are (default: word)', oneOf(['word', 'char'])),
    option(
      '--rule <name>',
      'how words are found: in prose; in lines, where a line break ends a sentence too; in tokens, text already tokenised, with spaces between and a sentence per line (default: tokens for ptb.*.txt, lines for text without sentence ends, otherwise prose)',
      oneOf(['prose', 'lines', 'tokens']),
    ),
    option(
      '--vocab <n>',
      'most frequent tokens kept (default: 10000 words; 256 characters, or more where over 1 % would be unknown)',
      whole(SMALLEST_VOCABULARY),
    ),
    option(
      '--subwords',
      'tokens are pieces of words, learnt by byte-pair encoding: any word of known characters can be read and written (at most --vocab of them; default: 4000)',
    ),
    option(
      '--small',
      'the recipe for a small file: --bits 3 with --tie or, for a vocabulary over 10000, --adaptive 2000,10000',
    ),
    option(
      '--adaptive <cutoffs>',
      'adaptive softmax: the 2000 most frequent words, those up to the 10000th and the rest in clusters, for --adaptive 2000,10000',
    ),
    option('--embedding <n>', 'width of the embedding (default: that of a layer)', whole(1)),
    option('--tie', 'use the embedding as the softmax head, too: half as many numbers'),
    option('--bptt <n>', 'steps of backpropagation through time (default: 20 words, 32 characters)', whole(1)),
    option('--max-tokens <n>', 'train on about this many tokens, sampled from the whole corpus', whole(1)),
  ],
  defaults: {
    hidden: '200',
    layers: '2',
    directions: '1, which is all that a language model can have',
    compression: '25',
    lr: 'adam 0.01 for words, 0.02 for characters; sgd 1',
    dropout: '0.3 for words, 0 for characters',
    batch: '16',
    epochs: '6 for words, 1 for characters',
    freeRate: 'adam 0.1,1 for words, 0.05,1 for characters; sgd 1,0',
    schedule: 'with adam cosine for words, linear for characters; decay with sgd',
    headRate: '1 for words, 2 for characters',
    beta1: '0.9 for words, 0.6 for characters',
    l1: '0 for words, 0.01 for characters',
    saliency: 'magnitude for words, moment for characters',
  },
  examples: [
    'dopant train lm --data sotu --vocab 5000 --max-tokens 300000 --out doped.safetensors',
    'dopant train lm --data book.txt --level char --method dense --out dense.safetensors',
    'dopant train lm --data book.txt --from dense.safetensors --distill 0.5 --out doped.safetensors',
    'dopant train lm --data sotu --checkpoint run1     (Ctrl-C stops it; to continue:)',
    'dopant train lm --resume run1',
  ],
  start(given: LanguageModelArguments): Start<TextSource, LanguageModelOptions> {
    const { level = 'word', rule, vocab, maxTokens, bptt, small, subwords } = given;
    const large = (vocab ?? 0) > LARGE_VOCABULARY;
    const { tie = small && !large, bits = small ? '3' : undefined } = given;
    const { adaptive = small && large ? '2000,10000' : undefined } = given;
    if (given.tie && given.adaptive) throw invalid('--adaptive', given.adaptive, 'only without --tie');
    if (subwords && level === 'char') {
      throw invalid('--subwords', true, 'only with --level word: characters have no pieces');
    }
    if (rule && level === 'char') throw invalid('--rule', rule, 'only with --level word: characters need no rule');
    const defaults = defaultOptions(level, optimizerOf(given));
    return {
      source: {
        ...sourceOf(given, WANTED),
        level,
        ...(rule && { rule }),
        ...(vocab && { vocab }),
        ...(maxTokens && { maxTokens }),
        ...(subwords && { subwords }),
      },
      options: {
        ...trainingOptions({ ...given, ...(bits && { bits }) }, defaults, 1),
        bptt: bptt ?? defaults.bptt,
        ...(tie && { tied: true as const }),
        ...(given.embedding && { embedding: given.embedding }),
        ...(adaptive && { cutoffs: cutoffsOf(adaptive) }),
      },
    };
  },
  isSource: ({ level, rule, vocab, maxTokens, subwords }) => {
    const whole = (field: unknown) => field === undefined || Number.isSafeInteger(field);
    const known = rule === undefined || (rule !== 'char' && isRule(rule));
    const isFlag = subwords === undefined || typeof subwords === 'boolean';
    return (level === 'word' || level === 'char') && known && whole(vocab) && whole(maxTokens) && isFlag;
  },
  read: ({ data, level }) => readCorpus(data, level),
  readFor: ({ vocabulary: { level } }, data) => readCorpus(data, level),
  inputs: textInputs,
  schema: (corpus, source, like) =>
    vocabularyOf(like) ??
    buildVocabulary(trainingTexts(corpus, source), ruleOf(corpus, source), source.vocab, 1, source.subwords),
  encode(corpus, source, vocabulary) {
    const train = encodeTexts(trainingTexts(corpus, source), vocabulary);
    return { train: train.slice(0, source.maxTokens), valid: encodeTexts(corpus.valid, vocabulary) };
  },
  describe: ({ corpus: { train }, model: { vocabulary } }, { name }) =>
    `${name}: ${train.length} training tokens, vocabulary ${vocabulary.size}`,
  describeModel: ({ config: { layers } }) => `language model, ${counted(layers, 'layer')}`,
  unknown: ({ corpus: { train, valid } }) => ({
    train: { tokens: unknownTokens([train]) },
    valid: { tokens: unknownTokens([valid]) },
  }),
  measurement(model, corpus, split) {
    const ids = encodeTexts(corpus[split], model.vocabulary);
    checkLength(ids, split);
    const unknown = unknownTokens([ids]);
    return {
      unknown: { tokens: unknown },
      size: `${ids.length} tokens`,
      measureInParts: () => measure(model, ids, unknown),
    };
  },
  testName: 'test text',
  decode: decodeLanguageModel,
  time: (model) => ({ step: timeSteps([model])[0] }),
  commands,
};

function* measure(model: LanguageModel, ids: Int32Array, unknown: number): Work<Measured> {
  const { loss, tokens } = yield* new Evaluation(model).meanLossInParts(ids);
  const [perplexity, bits] = [exp(loss), loss / Math.LN2];
  return {
    quality: { perplexity },
    json: { perplexity, bitsPerToken: bits, tokens, unknown },
    text: `perplexity ${perplexity.toFixed(2)}, ${bits.toFixed(3)} bits per token, ${tokens} tokens, ${percent(unknown)} of them unknown`,
  };
}
