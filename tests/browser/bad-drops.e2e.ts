/**
 * What is dropped on the window and cannot be used: datasets, models and settings that are broken, hostile or of another
 * kind, each by drag and drop in a real browser. Each is answered in words (what was found, what is allowed, what to do), names
 * no folder of the machine, and leaves the draft and the window as they were.
 */
import assert from 'node:assert/strict';
import { cpSync, mkdirSync, readFileSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { Page } from 'playwright-core';
import { type Desk, openDesk, skip, startSmallRun } from './desk.ts';

const starter = resolve(import.meta.dirname, '../../resources/starter/over-user');

type Case = { name: string; make: (path: string) => void; told: RegExp[] };

const text = (name: string, content: string | Uint8Array, ...told: RegExp[]): Case => ({
  name,
  make: (path) => writeFileSync(path, content),
  told,
});
const rows = (...all: unknown[]) => all.map((row) => JSON.stringify(row)).join('\n');
const good = { prompt: '1+1', answer: '2' };

const rowHint = /Each row needs `prompt` or `messages` and `answer`/;
const datasets: Case[] = [
  text('broken-line.jsonl', `${rows(good)}\n{"prompt": "2+2", "ans`, /line 2: not JSON/, rowHint),
  text(
    'latin1.jsonl',
    Buffer.from('{"prompt": "caf\xe9", "answer": "1"}', 'latin1'),
    /line 1: not valid UTF-8/,
    rowHint,
  ),
  text('utf16.jsonl', Buffer.from(rows(good), 'utf16le'), /line 1: holds a NUL byte/, rowHint),
  text('empty.jsonl', '', /the file holds no row/, rowHint),
  text('blank.jsonl', '\n \n\r\n', /the file holds no row/, rowHint),
  text(
    'picture.jsonl',
    new Uint8Array([0x89, 0x50, 0x4e, 0x47, 0, 10, 0xff, 0xd8]),
    /line 1: not valid UTF-8/,
    rowHint,
  ),
  text(
    'one-row.jsonl',
    rows(good),
    /no row is left for the split train \(problems that a run learns from\)/,
    /at least three/,
  ),
  text(
    'all-report.jsonl',
    rows(...[1, 2, 3, 4].map((n) => ({ prompt: `${n}`, answer: n, split: 'test' }))),
    /split train/,
    /split selection/,
    /name train, selection and report/,
  ),
  text(
    'long-line.jsonl',
    rows({ prompt: 'x'.repeat(9 * 2 ** 20), answer: '1' }),
    /line 1: longer than 8388608 bytes/,
    rowHint,
  ),
  text(
    'no-answer.jsonl',
    rows({ prompt: '1+1' }),
    /line 1: no `answer` and no `answers`, but the columns prompt/,
    rowHint,
  ),
  text('no-prompt.jsonl', rows({ answer: '1' }), /line 1: no `prompt` and no `messages`/, rowHint),
  text('wrong-types.jsonl', rows({ messages: 5, answer: '1' }), /line 1: `messages` is a number \(5\)/, rowHint),
  text('null-answer.jsonl', rows({ prompt: '1+1', answers: [null] }), /line 1: an answer is null/, rowHint),
  text('numbers.json', '[1, 2, 3]', /row 1: a number \(1\), not an object/, rowHint),
  text('cut.json', '[{"question": "1+1", "answer": "#### 2"},', /not JSON/, /damaged or incomplete: save it again/),
  text('deep.jsonl', `{"prompt": ${'['.repeat(100)}${']'.repeat(100)}}`, /line 1: nested deeper than 64/, rowHint),
  text(
    'grader.jsonl',
    rows({ ...good, grader: 'guess' }),
    /`grader` is a string \("guess"\); it must be exact, math/,
    rowHint,
  ),
  text('split.jsonl', rows({ ...good, split: 'exam' }), /`split` is a string \("exam"\), not one of train/, rowHint),
  text('nul.jsonl', '{"prompt": "a\\u0000b", "answer": "1"}', /line 1: holds a NUL character/, rowHint),
  text(
    'outside.jsonl',
    rows({ ...good, corpus: '../../secret.txt' }),
    /names the corpus \.\.\/\.\.\/secret\.txt, which is outside its own folder/,
    /Put the corpus beside the task file/,
  ),
  // these can be used, and say what was left out or read past
  text(
    'repeated.jsonl',
    rows(good, good, ...[2, 3, 4].map((n) => ({ prompt: `${n}+1`, answer: n + 1 }))),
    /1 row repeats an earlier question and is left out/,
    /2 train, 1 selection, 1 report/,
  ),
  text(
    'bom-crlf.jsonl',
    `\ufeff${rows(...[1, 2, 3, 4].map((n) => ({ prompt: `${n}+1`, answer: n + 1 }))).replaceAll('\n', '\r\n')}\r\n`,
    /2 train, 1 selection, 1 report/,
  ),
];

/** A copy of the starter agent with something done to it. */
const model = (name: string, spoil: (folder: string) => void, ...told: RegExp[]): Case => ({
  name,
  make: (folder) => {
    cpSync(starter, folder, { recursive: true });
    spoil(folder);
  },
  told,
});
function config(folder: string, change: Record<string, unknown>): void {
  const path = join(folder, 'config.json');
  writeFileSync(path, JSON.stringify({ ...JSON.parse(readFileSync(path, 'utf8')), ...change }));
}
const overwrite = (folder: string, name: string, content: string | Uint8Array) => {
  rmSync(join(folder, name), { force: true });
  writeFileSync(join(folder, name), content);
};
/** The weights with their header replaced. */
function header(folder: string, bytes: Uint8Array, length = BigInt(bytes.length)): void {
  const size = Buffer.alloc(8);
  size.writeBigUInt64LE(length);
  overwrite(folder, 'model.safetensors', Buffer.concat([size, bytes]));
}

const fitting = /Check that .+ and the weights belong to the same model/;
const models: Case[] = [
  {
    name: 'nothing',
    make: (path) => mkdirSync(path),
    told: [/nothing has no config\.json, so it is not a model folder/, /Give the folder that holds config\.json/],
  },
  model(
    'config-cut',
    (folder) => overwrite(folder, 'config.json', '{"model_type": "lla'),
    /config-cut\/config\.json is not valid JSON/,
    /damaged or incomplete: download or save it again/,
  ),
  model('config-list', (folder) => overwrite(folder, 'config.json', '[]'), /config\.json/, /.{20}/),
  model(
    'config-folder',
    (folder) => {
      rmSync(join(folder, 'config.json'));
      mkdirSync(join(folder, 'config.json'));
    },
    /config\.json is not a file/,
  ),
  model('bert', (folder) => config(folder, { model_type: 'bert', architectures: ['BertModel'] }), /llama/i, /bert/i),
  model(
    'no-weights',
    (folder) => rmSync(join(folder, 'model.safetensors')),
    /no-weights has neither model\.safetensors nor/,
    /convert other weight formats .* to safetensors first/i,
  ),
  model(
    'weights-cut',
    (folder) => truncateSync(join(folder, 'model.safetensors'), 100_000),
    /model\.safetensors/,
    /bytes|end/,
  ),
  model(
    'weights-empty',
    (folder) => truncateSync(join(folder, 'model.safetensors'), 0),
    /it has 0 bytes, too few for a header/,
  ),
  model(
    'header-length',
    (folder) => header(folder, Buffer.from('{}'), 2n ** 62n),
    /its header claims 4611686018427387904 bytes/,
  ),
  model(
    'header-text',
    (folder) => header(folder, Buffer.from('{"a": nonsense here}')),
    /model\.safetensors/,
    /header|JSON/,
  ),
  model('wrong-shape', (folder) => config(folder, { intermediate_size: 24 }), /misshaped are/, fitting),
  model('more-layers', (folder) => config(folder, { num_hidden_layers: 9 }), /missing are/, fitting),
  model(
    'no-tokenizer',
    (folder) => rmSync(join(folder, 'tokenizer.json')),
    /There is no tokenizer\.json: the model would read and write bytes/,
    /Put the tokenizer\.json that belongs to the model into the folder/,
  ),
  model(
    'bad-tokenizer',
    (folder) => overwrite(folder, 'tokenizer.json', '{"model": {"type": "BPE", "vocab": {"a": 1.5}, "merges": 7}}'),
    /tokenizer\.json cannot be used: model\.vocab/,
    /Download the tokenizer again/,
  ),
  model(
    'tokenizer-cut',
    (folder) => truncateSync(join(folder, 'tokenizer.json'), 500),
    /tokenizer-cut\/tokenizer\.json is not valid JSON/,
    /download or save it again/,
  ),
  model(
    'bad-template',
    (folder) => overwrite(folder, 'chat_template.jinja', '{% for %}'),
    /chat template cannot be used/,
    /Put a chat_template\.jinja that works/,
  ),
  model(
    'link-loop',
    (folder) => {
      rmSync(join(folder, 'config.json'));
      symlinkSync('config.json', join(folder, 'config.json'));
    },
    /link-loop has no config\.json/,
    /Give the folder/,
  ),
  model(
    'link-out',
    (folder) => {
      rmSync(join(folder, 'model.safetensors'));
      symlinkSync(join(starter, 'model.safetensors'), join(folder, 'model.safetensors'));
    },
    /model\.safetensors is a link that leads out of its folder/,
    /Copy the files themselves/,
  ),
];

const unchanged = [
  /cannot be used as it is\. The draft is as it was/,
  /Correct what is named in the file, then open it again/,
];
const settings: Case[] = [
  text('unclosed.yaml', 'model: starter:over-user\ntasks: [arithmetic', /line 2: .*not valid YAML/, ...unchanged),
  text(
    'bomb.yaml',
    `a: &a [x,x,x,x,x,x,x,x,x]\n${Array.from({ length: 9 }, (_, i) => `k${i}: &k${i} [${Array.from({ length: 9 }, () => (i ? `*k${i - 1}` : '*a')).join()}]`).join('\n')}`,
    /bomb\.yaml cannot be used: .*alias/i,
    ...unchanged,
  ),
  text('nested.yaml', '['.repeat(50_000), /nested too deeply|not valid YAML/, ...unchanged),
  text('list.yaml', '- steps\n- 3', /line 1: the file holds \["steps",3\]; allowed: a table of settings/, ...unchanged),
  text('nothing.yaml', '# only a comment\n', /the file holds no setting/, ...unchanged),
  text('unknown.yaml', 'steps: 3\nsetps: 4\n', /line 2: unknown setting setps; the nearest is steps/, ...unchanged),
  text(
    'negative.yaml',
    'prices:\n  python: -1\n',
    /line 2: prices\.python: found -1; allowed: a number from 0/,
    ...unchanged,
  ),
  text('nan.yml', 'alpha: .nan\n', /line 1: alpha: found NaN; allowed: a number from 0 to 100/, ...unchanged),
  text(
    'method.yaml',
    'steps: 3\nmethod: sarsa\n',
    /line 2: method: found "sarsa"; allowed: one of paretopo/,
    ...unchanged,
  ),
  text('twice.yaml', 'steps: 3\nsteps: 4\n', /line 2: .*Map keys must be unique/, ...unchanged),
  text(
    'absent.yaml',
    'steps: 3\nmodel: ./gone\ntasks: [sums.jsonl]\n',
    /line 2: model: found "\.\/gone", which is not there; allowed: starter:over-user/,
    /line 3: tasks\.0: found "sums\.jsonl"/,
    ...unchanged,
  ),
  text('utf16.yaml', Buffer.from('\ufeffsteps: 3\n', 'utf16le'), /utf16\.yaml is not UTF-8 text/, ...unchanged),
  text('long.yaml', `# ${'x'.repeat(1_100_000)}`, /long\.yaml is larger than 1000000 bytes/, ...unchanged),
  text(
    'types.json',
    '{\n  "model": "starter:over-user",\n  "steps": "many",\n  "limits": { "calls": 1.5 }\n}',
    /line 3: steps: found "many"; allowed: a whole number from 1/,
    /line 4: limits\.calls: found 1\.5/,
    ...unchanged,
  ),
  text('comma.json', '{\n  "steps": 3,\n  "method": "grpo" "seed": 1\n}', /line 3: .*not valid YAML/, ...unchanged),
];

const others: Case[] = [
  text(
    'photo.png',
    new Uint8Array([0x89, 0x50, 0x4e, 0x47]),
    /photo\.png is neither a model, a task file nor a settings file/,
    /Drop the folder of a model/,
  ),
  text('no-ending', 'hello', /no-ending is neither a model/, /a task file \(\.jsonl or \.json\) or settings/),
];

describe('what is dropped and cannot be used', { skip, timeout: 600_000 }, () => {
  let desk: Desk;
  let page: Page;
  let drops: string;
  let draft: string | null;
  const storedDraft = () => page.evaluate<string | null>(`localStorage.getItem('paretune.draft')`);

  before(async () => {
    desk = await openDesk();
    ({ page } = desk);
    drops = join(desk.folder, 'drops');
    mkdirSync(drops);
    await page.getByRole('button', { name: /^Tune the starter agent/ }).waitFor();
    await page.keyboard.press('Control+n');
    await page.getByLabel('Name (empty: one is made)').fill('kept');
    await page.getByLabel('Steps', { exact: true }).fill('17');
    await desk.until(async () => (await storedDraft())?.includes('"17"') ?? false, 'the draft is stored', 20);
    draft = await storedDraft();
  });
  after(() => desk?.close());

  /** Drops it on a view, and reads what the window says of it in this place. */
  async function told({ name, make, told }: Case, place: string, view: number): Promise<void> {
    make(join(drops, name));
    await page.keyboard.press(`Control+${view}`);
    await desk.drop(join(drops, name));
    const answer = page.locator(place).filter({ hasText: name }).filter({ hasText: told[0] }).last();
    await answer
      .waitFor({ timeout: 30_000 })
      .catch(async () => assert.fail(`no ${told[0]} but: ${(await page.locator('main').allInnerTexts()).join()}`));
    const words = (await answer.allInnerTexts()).join('\n');
    for (const pattern of told) assert.match(words, pattern);
    assert.doesNotMatch(words, /(^|[\s"'(])(\/[^\s/]+\/|[A-Za-z]:\\)/m, 'a path from the root');
    assert.doesNotMatch(words, /\.[tj]s:\d+|\bfault of Paretune\b|\[object /, 'a stack or a fault');
    assert.equal(await storedDraft(), draft);
    for (const close of await page.locator('.toasts').getByRole('button', { name: 'Close' }).all()) await close.click();
  }

  for (const [kind, cases, place] of [
    ['dataset', datasets, 'section[aria-label="Preview"]'],
    ['model', models, 'section[aria-label="What was found"]'],
    ['settings file', settings, 'form section.banner'],
    ['file', others, '.toast'],
  ] as const) {
    for (const [i, one] of cases.entries()) {
      test(`a ${kind} is answered by what is wrong with it: ${one.name}`, () => told(one, place, 1 + (i % 6)));
    }
  }

  test('of several at once the first is looked at, and the window says so', async () => {
    await desk.drop(join(drops, 'empty.jsonl'), join(drops, 'blank.jsonl'));
    await page.getByText('One at a time: empty.jsonl was taken.').waitFor();
    await page.getByRole('region', { name: 'Preview' }).getByText('empty.jsonl').waitFor();
  });

  test('settings that can be used fill the form, and one Undo brings back the draft', async () => {
    const file = join(drops, 'run.yaml');
    writeFileSync(file, 'method: grpo\nsteps: 5\nprices: {python: 2.5}\ntrain: {clipHigh: 0.28}\n');
    await desk.drop(file);
    const banner = page.locator('form section.banner');
    await banner.getByText('These settings come from run.yaml. Undo brings back what was here before.').waitFor();
    await banner.getByText('Set by it, without a field here: train.clipHigh.').waitFor();
    const value = (label: string) => page.getByLabel(label, { exact: true }).inputValue();
    const method = page.getByRole('combobox', { name: 'Method' });
    assert.deepEqual([await value('Steps'), await method.inputValue()], ['5', 'grpo']);
    await page.getByRole('button', { name: 'Undo', exact: true }).click();
    assert.deepEqual([await value('Steps'), await value('Name (empty: one is made)')], ['17', 'kept']);
    assert.equal(await storedDraft(), draft);
    await page.getByRole('button', { name: 'Redo', exact: true }).click();
    assert.equal(await value('Steps'), '5');
    await page.getByRole('button', { name: 'Undo', exact: true }).click();
  });

  test('after all of it a run starts and is measured', async () => {
    await startSmallRun(page, 'after-all', { Steps: '1', 'Measure every … steps': '1' });
    await page.getByText('finished', { exact: true }).waitFor({ timeout: 180_000 });
    assert.ok((await page.locator('svg .point').count()) >= 2);
    assert.deepEqual(await page.evaluate('window.violations'), []);
    assert.deepEqual(desk.faults, []);
  });
});
