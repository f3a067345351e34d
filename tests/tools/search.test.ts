import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { readCorpusFile } from '../../src-main/engine/tools/corpus-file.ts';
import { cutAtWord, makeSearchTool } from '../../src-main/engine/tools/search.ts';
import { buildCorpusIndex, openCorpusIndex } from '../../src-main/store/corpus-index.ts';

const folder = mkdtempSync(join(tmpdir(), 'paretune-search-'));
const passages = [
  { title: 'Lake Orva', text: 'Lake Orva lies in Tamria. Its fish are eaten in Port Sel.' },
  { title: 'Port Sel', text: 'Port Sel is the capital of Tamria and was founded by Ada Brun.' },
  { title: 'Ada Brun', text: 'Ada Brun was born in Lund.' },
  { title: 'Twin', text: 'the same words' },
  { title: 'Twin', text: 'the same words' },
  { title: 'Café Zürich', text: 'A café that serves naïve tourists. "AND" OR (NEAR) title:*' },
];
const path = join(folder, 'corpus.sqlite');
const count = await buildCorpusIndex(path, passages);
const index = openCorpusIndex(path);
after(() => {
  index.close();
  rmSync(folder, { recursive: true });
});

function titles(query: string, k = 3): string[] {
  return index.search(query, k).map(({ title }) => title);
}

async function collect(file: string) {
  const result: { title: string; text: string }[] = [];
  for await (const passage of readCorpusFile(file)) result.push(passage);
  return result;
}

test('every passage is indexed and found by its title', () => {
  assert.equal(count, passages.length);
  assert.equal(index.documents, passages.length);
  for (const { title } of passages) assert.equal(titles(title)[0], title);
});

test('passages with all words come first; without any such, those with some words', () => {
  assert.deepEqual(titles('capital of Tamria'), ['Port Sel']);
  assert.equal(titles('where was the founder Ada Brun born, in which town?')[0], 'Ada Brun');
  assert.deepEqual(titles('nothing whatever'), []);
});

test('case, accents and word endings do not matter', () => {
  assert.deepEqual(titles('CAFE zurich'), ['Café Zürich']);
  assert.deepEqual(titles('tourist'), ['Café Zürich']);
});

test('equal passages come in the order they were added', () => {
  assert.deepEqual(titles('same words'), ['Twin', 'Twin']);
});

test('no query is syntax: any text gives a list, the same each time', () => {
  for (const query of [
    '"',
    'title:x',
    'a AND',
    '*',
    '(',
    'NEAR(a b)',
    "'; DROP TABLE passages; --",
    'a"b',
    '^x',
    '-',
    '\0',
    '',
  ]) {
    assert.deepEqual(index.search(query, 2), index.search(query, 2), query);
  }
  assert.equal(titles('AND OR NEAR')[0], 'Café Zürich');
  fc.assert(fc.property(fc.string({ unit: 'binary' }), (query) => Array.isArray(index.search(query, 2))));
});

test('the tool gives the bare text of one result, cut after a word', async () => {
  const tool = makeSearchTool(index, { results: 1, maxCharacters: 30 });
  const { status, output } = await tool.call({ query: 'Port Sel' });
  assert.deepEqual([status, output], ['ok', 'Port Sel is the capital of']);
  assert.deepEqual((await tool.call({ query: 'xyzzy' })).output, 'nothing found');
  assert.equal((await tool.call({ query: 3 })).status, 'error');
  assert.equal((await tool.call({})).status, 'error');
  assert.equal((await tool.check()).ok, true);
});

test('several results are lines with their titles that share the length', async () => {
  const tool = makeSearchTool(index, { results: 3, maxCharacters: 90 });
  const { output } = await tool.call({ query: 'Tamria' });
  assert.equal(output.split('\n').length, 2);
  assert.match(output, /^(Lake Orva|Port Sel): /);
  assert.ok(output.length <= 90);
});

test('a cut text is a prefix, never longer than asked, and never ends inside a word that would have fitted', () => {
  fc.assert(
    fc.property(
      fc.string({ unit: fc.constantFrom('a', 'b', ' ', '😀') }),
      fc.integer({ min: 1, max: 40 }),
      (text, length) => {
        const result = cutAtWord(text, length);
        const whole = text.trim();
        assert.ok(whole.startsWith(result) && result.length <= length);
        assert.ok(result.isWellFormed());
        const next = whole[result.length];
        if (/\s/.test(result)) assert.ok(next === undefined || /\s/.test(next));
      },
    ),
  );
});

test('an empty corpus, a missing, foreign, newer or damaged index are told apart', async () => {
  const at = (name: string) => join(folder, name);
  assert.equal(await buildCorpusIndex(at('empty'), []), 0);
  const empty = openCorpusIndex(at('empty'));
  assert.equal((await makeSearchTool(empty).check()).ok, false);
  empty.close();
  assert.throws(() => openCorpusIndex(at('missing')), { code: 'not-found' });
  writeFileSync(at('text'), 'this is no database, but long enough to be read as one');
  assert.throws(() => openCorpusIndex(at('text')), { code: 'bad-file' });
  const bytes = readFileSync(path);
  const newer = Buffer.from(bytes);
  newer.writeUInt32BE(9, 60);
  writeFileSync(at('newer'), newer);
  assert.throws(() => openCorpusIndex(at('newer')), { code: 'bad-file', message: /version 9/ });
  const foreign = Buffer.from(bytes);
  foreign.writeUInt32BE(0, 68);
  writeFileSync(at('foreign'), foreign);
  assert.throws(() => openCorpusIndex(at('foreign')), { code: 'bad-file', message: /not a corpus index/ });
  writeFileSync(at('short'), bytes.subarray(0, 5000));
  assert.throws(() => openCorpusIndex(at('short')), { code: 'bad-file' });
});

test('a failed build leaves the index that was there', async () => {
  const stable = join(folder, 'stable');
  await buildCorpusIndex(stable, passages);
  const before = readFileSync(stable);
  const failing = (function* () {
    yield passages[0];
    throw new Error('the disk went away');
  })();
  await assert.rejects(buildCorpusIndex(stable, failing), /went away/);
  assert.deepEqual(readFileSync(stable), before);
});

test('corpus files: an object of titles, HotpotQA sentences, JSON lines', async () => {
  const file = join(folder, 'c.json');
  writeFileSync(file, JSON.stringify({ A: ['One.', ' Two.'], B: 'Three.' }));
  assert.deepEqual(await collect(file), [
    { title: 'A', text: 'One. Two.' },
    { title: 'B', text: 'Three.' },
  ]);
  const lines = join(folder, 'c.jsonl');
  writeFileSync(lines, '\ufeff{"title":"A","text":"x"}\r\n\n{"title":"B","text":"y","more":1}');
  assert.deepEqual(await collect(lines), [
    { title: 'A', text: 'x' },
    { title: 'B', text: 'y' },
  ]);
});

test('a bad corpus file is named with its line', async () => {
  const file = join(folder, 'bad.jsonl');
  writeFileSync(file, '{"title":"A","text":"x"}\n{"title":"B"}\n');
  await assert.rejects(collect(file), { code: 'bad-data', message: /bad\.jsonl:2: / });
  writeFileSync(file, '{"title":"A","text":"x"}\n{"title"');
  await assert.rejects(collect(file), { code: 'bad-data', message: /bad\.jsonl:2: not JSON/ });
  const object = join(folder, 'bad.json');
  writeFileSync(object, '{"A": [1]}');
  await assert.rejects(collect(object), { code: 'bad-data' });
  await assert.rejects(collect(join(folder, 'none.json')), { code: 'not-found' });
  writeFileSync(join(folder, 'long.jsonl'), 'x'.repeat(9 * 2 ** 20));
  await assert.rejects(collect(join(folder, 'long.jsonl')), { code: 'bad-data', message: /more than/ });
});

const data = process.env.PARETUNE_DATA;
test('the HotpotQA corpus answers questions about its titles', {
  skip: data ? false : 'PARETUNE_DATA is not set',
}, async () => {
  const hotpot = join(folder, 'hotpot.sqlite');
  await buildCorpusIndex(hotpot, readCorpusFile(join(data!, 'hotpotqa-corpus.json')));
  const opened = openCorpusIndex(hotpot);
  assert.ok(opened.documents > 900);
  assert.equal(opened.search('Demon Dice collectible game', 1)[0].title, 'Demon Dice');
  opened.close();
});
