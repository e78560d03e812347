import { malformed } from '../../errors.js';
import { isObject } from '../../values.js';
import type { RunRecord } from './record.js';

// The fields of a record and their types. Unknown fields are allowed: later versions may have more.

/** Throws a FileFormatError that names the field unless the value has the right type. */
type Check = (value: unknown, where: string) => void;

const kind =
  (is: (value: unknown) => boolean, expected: string): Check =>
  (value, where) => {
    if (!is(value)) throw malformed(where, value, expected);
  };

const text = kind((value) => typeof value === 'string', 'a string');
const number = kind(Number.isFinite, 'a finite number');
const positive = kind((value) => Number.isFinite(value) && Number(value) > 0, 'a positive number');
const share = kind(
  (value) => Number.isFinite(value) && Number(value) >= 0 && Number(value) <= 1,
  'a number from 0 to 1',
);
const only = (one: unknown) => kind((value) => value === one, String(one));

const optional =
  (check: Check): Check =>
  (value, where) => {
    if (value !== undefined) check(value, where);
  };

const list =
  (check: Check): Check =>
  (value, where) => {
    if (!Array.isArray(value)) throw malformed(where, value, 'a list');
    for (const [i, one] of value.entries()) check(one, `${where}[${i}]`);
  };

const object =
  (fields: Record<string, Check>): Check =>
  (value, where) => {
    if (!isObject(value)) throw malformed(where || 'the file', value, 'an object');
    for (const [name, check] of Object.entries(fields)) {
      check(Object.hasOwn(value, name) ? value[name] : undefined, where ? `${where}.${name}` : name);
    }
  };

const settings: Check = (value, where) => {
  if (!isObject(value)) throw malformed(where, value, 'an object');
  for (const [name, setting] of Object.entries(value)) {
    if (!['string', 'boolean'].includes(typeof setting)) number(setting, `${where}.${name}`);
  }
  number(value.seed, `${where}.seed`);
};

const quality: Check = (value, where) => {
  object({
    perplexity: optional(positive),
    accuracy: optional(share),
    exact: optional(share),
    f1: optional(share),
    mse: optional(number),
    bleu: optional(number),
  })(value, where);
  const { perplexity, accuracy, mse } = value as Record<string, unknown>;
  if (perplexity === undefined && accuracy === undefined && mse === undefined)
    throw malformed(where, value, 'a perplexity or an accuracy');
};

const shares = object({ train: optional(share), valid: optional(share), test: optional(share) });

const result = object({
  valid: quality,
  test: optional(quality),
  parameters: object({ lstm: number, total: number }),
  compression: object({ parameters: optional(positive), bytes: positive, file: optional(positive) }),
  fileBytes: number,
  gzipBytes: optional(number),
  unknown: optional(shares),
  unknownLabels: optional(shares),
});

const matrix = object({ name: text, structureNorm: number, dopantsNorm: number, cosine: number });

const CURVES: Record<string, Check> = {
  step: object({ step: number, epoch: number, loss: number, learningRate: number, sparsity: number }),
  valid: object({
    step: number,
    epoch: number,
    perplexity: optional(number),
    accuracy: optional(number),
    exact: optional(number),
  }),
  prune: object({ step: number, sparsity: number, before: number, after: number }),
  cma: object({
    step: number,
    sparsity: number,
    both: number,
    structureOnly: number,
    dopantsOnly: number,
    matrices: list(matrix),
  }),
};

const curve: Check = (value, where) => {
  object({ kind: text })(value, where);
  const { kind } = value as { kind: string };
  if (!Object.hasOwn(CURVES, kind)) throw malformed(`${where}.kind`, kind, `one of ${Object.keys(CURVES).join(', ')}`);
  CURVES[kind](value, where);
};

const record = object({
  name: text,
  cell: text,
  task: text,
  method: text,
  compression: positive,
  settings,
  tuned: list(text),
  final: optional(only(true)),
  result: optional(result),
  failed: optional(text),
  curves: list(curve),
  timing: optional(
    object({
      seconds: number,
      tokensPerSecond: number,
      step: optional(object({ lstm: number, token: number })),
      sentence: optional(number),
      resumed: optional(only(true)),
      node: text,
      cpu: text,
    }),
  ),
  dopant: object({ version: text, commit: optional(text) }),
});

/** Throws a FileFormatError that names the first wrong field. */
export function checkRecord(value: unknown): asserts value is RunRecord {
  record(value, '');
  const { result, failed } = value as RunRecord;
  if ((result === undefined) === (failed === undefined)) {
    throw malformed('result', result, 'either a result, or the reason in "failed" why there is none');
  }
}
