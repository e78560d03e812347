// Text as its writers mean it, in any script.

import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { buildVocabulary } from '../../src/text/build-vocabulary.js';
import { type Level, type Rule, readTokens } from '../../src/text/tokens.js';

function tokens(text: string, rule: Rule = 'prose'): string[] {
  const list: string[] = [];
  readTokens(text, rule, (token) => list.push(token));
  return list;
}

const RULES = ['prose', 'lines', 'tokens', 'char'] as const;
const END = '<eos>';

test('text is the same in any normal form, under every rule', () => {
  const texts = ['naïve Ångström', 'Việt Nam', '한국어 음절', 'Ω Å', 'क़लम', 'שּׁלום'];
  for (const rule of RULES) {
    for (const text of texts) {
      const wanted = tokens(text.normalize('NFC'), rule);
      for (const form of ['NFC', 'NFD']) assert.equal(tokens(text.normalize(form), rule), wanted, `${rule}, ${form}`);
    }
  }
  assert.equal(tokens('nai\u0308ve'), ['naïve']);
  assert.equal(tokens('e\u0301', 'char'), ['é']);
});

test('soft hyphens and byte order marks are dropped wherever they stand, under every rule', () => {
  const text = "it's 1,000 more. co-operate\n你好。end";
  const anywhere = fc.array(fc.tuple(fc.nat(text.length), fc.constantFrom('\u00ad', '\ufeff')), { maxLength: 6 });
  fc.assert(
    fc.property(fc.constantFrom(...RULES), anywhere, (rule, marks) => {
      const places = [...marks].sort(([a], [b]) => b - a);
      const strewn = places.reduce((now, [at, mark]) => now.slice(0, at) + mark + now.slice(at), text);
      assert.equal(tokens(strewn, rule), tokens(text, rule));
    }),
  );
});

test('marks of direction do not show in words, and are characters', () => {
  assert.equal(tokens('\u200fשלום\u200f. \u202bעולם\u202c'), ['שלום', END, 'עולם']);
  assert.equal(tokens('a\u200eb\u2060c'), ['abc']);
  assert.equal(tokens('ինչո՞ւ'), ['ինչու']); // Armenian asks inside the word
  assert.equal(tokens('a\u200f', 'char'), ['a', '\u200f']);
});

test('a word has one form in upper and lower case, whatever marks are on its letters', () => {
  const words: string[] = [];
  for (let c = 0x41; c < 0x2d00; c++) {
    const letter = String.fromCodePoint(c);
    if (!/\p{Lu}/u.test(letter)) continue;
    for (let mark = 0x300; mark < 0x346; mark++) words.push(letter + String.fromCodePoint(mark));
  }
  const read = tokens(words.join(' '));
  assert.is(read.length, words.length);
  assert.equal(tokens(words.join(' ').toLowerCase()), read);
  assert.is(read.join(' ').normalize('NFC'), read.join(' '));
});

test('every line break of Unicode breaks lines', () => {
  for (const line of ['\n', '\r', '\r\n', '\v', '\f', '\x85', '\u2028', '\u2029']) {
    const text = `one two${line}three${line}`;
    for (const rule of ['lines', 'tokens'] as const) {
      assert.equal(tokens(text, rule), ['one', 'two', END, 'three', END], JSON.stringify(line));
    }
    assert.equal(tokens(`one two.${line}Three`), ['one', 'two', END, 'three'], JSON.stringify(line));
    assert.is(buildVocabulary([text], 'word').rule, 'lines');
  }
  assert.equal(tokens('a\x85b\r\nc', 'char'), ['a', '\n', 'b', '\n', 'c']);
});

test('a Greek question mark, which NFC makes a semicolon, ends a sentence; other semicolons do not', () => {
  for (const mark of ['\u037e', ';', ';;', ';»']) {
    assert.equal(tokens(`τι κάνεις${mark} Καλά`), ['τι', 'κάνεις', END, 'καλά'], mark);
  }
  assert.equal(tokens('naïve; one α;β'), ['naïve', 'one', 'α', 'β']);
});

test('the gershayim of Hebrew are also typed as a quotation mark', () => {
  for (const mark of ['\u05f4', '"']) assert.equal(tokens(`צה${mark}ל הגיע`), ['צה\u05f4ל', 'הגיע'], mark);
  assert.equal(tokens('אמר "שלום" ו"להתראות"'), ['אמר', 'שלום', 'ו', 'להתראות']);
});

test('joiners stay inside words, and only there', () => {
  assert.equal(tokens('می\u200cخواهم برود'), ['می\u200cخواهم', 'برود']); // Persian
  assert.equal(tokens('\u200cکتاب\u200c ها'), ['کتاب', 'ها']);
  assert.equal(tokens('می\u200c\u200cخواهم'), ['می\u200c\u200cخواهم']); // typed twice
  assert.equal(tokens('क्\u200dष र\u200d्य'), ['क्\u200dष', 'र\u200d्य']); // Devanagari
  assert.equal(tokens('അവന്\u200d വന്നു'), ['അവന്\u200d', 'വന്നു']); // Malayalam: the joiner changes the last letter
});

test('words of many scripts keep their marks, apostrophes and hyphens', () => {
  for (const word of [
    'हिन्दी',
    'தமிழ்',
    'עִבְרִית',
    'العَرَبِيَّة',
    'ქართული',
    'հայերեն',
    'አማርኛ',
    "п'ять",
    'بۇ',
    '한국어',
    'col·lecció',
    'צה״ל',
  ]) {
    assert.equal(tokens(`${word} ${word}`), [word, word]);
  }
  assert.equal(tokens('п’ять п\u02bcять fellow\u2010citizens l\uff07eau'), [
    "п'ять",
    "п'ять",
    'fellow-citizens',
    "l'eau",
  ]);
});

test('numbers are N in the digits of any script', () => {
  for (const number of ['٣', '١٬٠٠٠٫٥', '१२३', '๔๕', '１２３', '３．５', '½', '³', 'Ⅳ']) {
    assert.equal(tokens(`a ${number} b`), ['a', 'N', 'b'], number);
  }
});

test('emoji are dropped as all symbols are, and leave no parts behind', () => {
  for (const emoji of ['😀', '👍🏽', '👩‍👩‍👧', '❤️', '🇫🇷', '🏴󠁧󠁢󠁥󠁮󠁧󠁿']) {
    assert.equal(tokens(`so ${emoji} it${emoji} goes`), ['so', 'it', 'goes'], emoji);
    assert.equal(tokens(emoji, 'tokens'), [emoji]);
  }
});

test('sentences end as their script ends them', () => {
  const ends = '.!?…۔؟।॥׃၊။།።፧։。｡！？．។៕܀߹‼⁇⁉᙮᠃';
  for (const end of ends) {
    const name = `U+${end.codePointAt(0)!.toString(16)}`;
    assert.equal(tokens(`ab cd${end} ef gh${end}`), ['ab', 'cd', END, 'ef', 'gh', END], name);
    assert.equal(tokens(`ab${end}${end}${end} cd`), ['ab', END, 'cd'], `many are one: ${name}`);
  }
  for (const [open, close] of ['“”', '„“', '«»', '»«', '()', '‘’', '「」', '（）', '""', '‹›', '[]']) {
    for (const end of '.!?…') assert.equal(tokens(`ab ${open}cd${end}${close} ef`), ['ab', 'cd', END, 'ef'], open);
    assert.equal(tokens(`ab ${open}cd。${close}ef`), ['ab', 'cd', END, 'ef'], open);
  }
});

test('a sentence of a script without spaces ends with no space behind it', () => {
  assert.equal(tokens('你好。我是学生！你呢？'), [...'你好', END, ...'我是学生', END, ...'你呢', END]);
  assert.equal(tokens('你好!我是学生.'), [...'你好', END, ...'我是学生', END]);
  assert.equal(tokens('こんにちは。ラーメン'), [...'こんにちは', END, ...'ラーメン']);
  assert.equal(tokens('“好。”他说'), ['好', END, '他', '说']);
  assert.equal(tokens('यह है।वह है'), ['यह', 'है', END, 'वह', 'है']);
  // A dot inside a word or a number ends nothing.
  assert.equal(tokens('3.5 example.com a.b'), ['N', 'example', 'com', 'a', 'b']);
});

test('in scripts without spaces a word is a character with its marks', () => {
  assert.equal(tokens('用Python写代码，2024年'), ['用', 'python', '写', '代', '码', 'N', '年']);
  assert.equal(tokens('น้ำดี'), ['น้', 'ำ', 'ดี']);
  assert.equal(tokens('ខ្មែរ'), ['ខ្', 'មែ', 'រ']);
  assert.equal(tokens('мир 平和 mir'), ['мир', '平', '和', 'mir']);
});

test('text without spaces is shown without, in its own lines', () => {
  const text = '你好 world 的人\nN 年\n';
  const vocabulary = buildVocabulary(['你好world的人。2024年。'], 'word');
  assert.is(vocabulary.decode(vocabulary.encode('你好world的人。2024年。')), text);
});

test('line breaks end sentences under the rule lines, and by default where nothing else does', () => {
  for (const breaks of ['\n', '\r\n', '\r', '\u2028', '\u2029', '\n\n \n']) {
    assert.equal(tokens(`One two${breaks}three. four${breaks}`, 'lines'), [
      'one',
      'two',
      END,
      'three',
      END,
      'four',
      END,
    ]);
    assert.equal(tokens(`${breaks}one`, 'lines'), ['one'], 'an empty line is no sentence');
    assert.equal(tokens(`One${breaks}two`, 'prose'), ['one', 'two']);
    assert.equal(
      tokens(`f.${breaks}no.${breaks}5 mr.${breaks}end.${breaks}`, 'lines').filter((token) => token === END).length,
      4,
    );
  }
  assert.is(buildVocabulary(['one two\nthree'], 'word').rule, 'lines');
  assert.is(buildVocabulary(['one two\nthree', 'four. five'], 'word').rule, 'prose');
  assert.is(buildVocabulary(['一二\n三。'], 'word').rule, 'prose');
  assert.is(buildVocabulary(['one. two\nthree'], 'lines').rule, 'lines');
  assert.is(buildVocabulary(['one\ntwo'], 'prose').rule, 'prose');
});

test('generation starts from what the text has seen', () => {
  const cases: [string, Level | Rule, string][] = [
    ['one two. three', 'word', END],
    ['one two\nthree', 'word', END],
    ['two one one', 'word', 'one'], // no sentence ends
    ['two one\none', 'prose', 'one'],
    ['a b\nc', 'char', '\n'],
    ['abb a', 'char', ' '],
    ['ACGGT', 'char', 'G'],
    ['你好好', 'char', '好'],
  ];
  for (const [text, how, start] of cases) {
    const vocabulary = buildVocabulary([text], how);
    assert.is(vocabulary.tokens[vocabulary.start], start, text);
    assert.ok(vocabulary.encode(text).includes(vocabulary.start), 'training sees it');
  }
  fc.assert(
    fc.property(
      fc.string({ unit: fc.constantFrom(...'ab. \n你。'), minLength: 1, maxLength: 20 }),
      fc.constantFrom<Level | Rule>('word', ...RULES),
      fc.integer({ min: 2, max: 4 }),
      (text, how, size) => {
        const whole = buildVocabulary([text, 'a'], how);
        const vocabulary = buildVocabulary([text, 'a'], how, Math.min(size, whole.size));
        assert.ok([...vocabulary.encode(text), ...vocabulary.encode('a')].includes(vocabulary.start));
      },
    ),
  );
});

test.run();
