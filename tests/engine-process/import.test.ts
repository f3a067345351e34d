/** Models into the library: folders and GGUF files, whole or not at all, on from where a killed import was. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, beforeEach, describe, test } from 'node:test';
import { ParetuneError } from '../../src-main/contract/errors.ts';
import { openAgent } from '../../src-main/engine/run/agent.ts';
import { openGgufAgent } from '../../src-main/engine/run/gguf-agent.ts';
import { hashWeights } from '../../src-main/engine/weights/model-folder.ts';
import type { CommandContext } from '../../src-main/engine-process/command.ts';
import { commands } from '../../src-main/engine-process/commands.ts';
import { describeModel } from '../../src-main/engine-process/describe-model.ts';
import { copyModel, type FileToCopy, importRecordName } from '../../src-main/engine-process/model-copy.ts';
import { ggufFamilies, ggufPath } from '../weights/gguf-fixtures.ts';

const root = mkdtempSync(join(tmpdir(), 'paretune-import-'));
after(() => rmSync(root, { recursive: true }));
const models = join(root, 'models');
beforeEach(() => rmSync(models, { recursive: true, force: true }));

function contextOf(signal = new AbortController().signal): CommandContext {
  return { dataFolder: root, emit() {}, progress() {}, item() {}, signal };
}
const importModel = async (payload: { folder: string; name?: string }, context = contextOf()) =>
  (await commands.import()).command.run(payload, context);
const sha256 = (path: string) => createHash('sha256').update(readFileSync(path)).digest('hex');
const recordOf = (folder: string) => JSON.parse(readFileSync(join(folder, importRecordName), 'utf8'));

describe('import of a GGUF file', () => {
  for (const family of ggufFamilies) {
    test(`makes a model folder of the ${family} file with the same numbers and tokens`, async () => {
      const made = await importModel({ folder: ggufPath(family) });
      assert.equal(made.name, `imported:tiny-${family}`);
      const source = openGgufAgent(ggufPath(family));
      const copy = openAgent(made.folder);
      assert.deepEqual(copy.config, source.config);
      assert.equal(made.weightsHash, hashWeights(source.folder.readWeights()));
      const text = '<|im_start|>user\nthe agent, 12 + 3?<|im_end|>';
      for (const special of [true, false]) {
        assert.deepEqual(copy.tokenizer.encode(text, { special }), source.tokenizer.encode(text, { special }));
      }
      assert.deepEqual(copy.chatFormat([]).stopTokens, source.chatFormat([]).stopTokens);
      const record = recordOf(made.folder);
      assert.equal(record.sourceSha256, sha256(ggufPath(family)));
      const names = readdirSync(made.folder).filter((name) => name !== importRecordName);
      assert.deepEqual(record.files.map((file: { name: string }) => file.name).sort(), names.sort());
      for (const { name, sha256: hash } of record.files) assert.equal(sha256(join(made.folder, name)), hash, name);
      const row = describeModel(root, made.name);
      assert.deepEqual([row.origin, row.problem, row.parameters], ['imported', '', made.parameters]);
      assert.ok(row.memory !== null && row.memory.needed > 8 * row.parameters);
    });
  }

  test('is described before it, with what the copy will take', () => {
    const row = describeModel(root, ggufPath('qwen3'));
    assert.deepEqual([row.origin, row.family, row.problem, row.notes], ['file', 'qwen3', '', []]);
    assert.ok(row.importedBytes > 3 * row.bytes, `${row.importedBytes} of ${row.bytes}`);
    const bad = join(root, 'bad.gguf');
    writeFileSync(bad, readFileSync(ggufPath('llama')).subarray(0, 5000));
    assert.match(describeModel(root, bad).problem, /bad.gguf is not a valid GGUF file/);
  });

  test('is asked for where a run names the file itself', () => {
    assert.throws(() => openAgent(ggufPath('llama')), /can be used once it is imported/);
  });

  test('refuses a damaged file and leaves nothing behind', async () => {
    const bad = join(root, 'bad.gguf');
    writeFileSync(bad, readFileSync(ggufPath('llama')).subarray(0, 100_000));
    await assert.rejects(importModel({ folder: bad }), { code: 'bad-file' });
    assert.equal(existsSync(join(models, 'bad')) || existsSync(join(models, 'bad.partial')), false);
    for (const name of ['../x', 'a.partial', 'a.Partial'])
      await assert.rejects(importModel({ folder: bad, name }), { code: 'usage' });
  });

  test('that is stopped leaves nothing behind', async () => {
    const stop = new AbortController();
    stop.abort();
    await assert.rejects(importModel({ folder: ggufPath('llama') }, contextOf(stop.signal)), { code: 'interrupted' });
    assert.deepEqual(readdirSync(models), []);
  });
});

test('import of a folder copies what a model needs and knows its hashes', async () => {
  const { folder } = await importModel({ folder: ggufPath('llama') });
  writeFileSync(join(folder, 'notes.txt'), 'not copied');
  const again = await importModel({ folder, name: 'again' });
  const record = recordOf(again.folder);
  assert.equal(record.sourceSha256, null);
  assert.equal(existsSync(join(again.folder, 'notes.txt')), false);
  for (const { name, sha256: hash } of record.files) assert.equal(sha256(join(folder, name)), hash, name);
  await assert.rejects(importModel({ folder, name: 'again' }), { code: 'usage' });
});

describe('copyModel', () => {
  const source = join(root, 'source.bin');
  const target = join(models, 'm');
  const bytes = (text: string) => new TextEncoder().encode(text);
  let made: string[] = [];
  /** Files that note when they are made; the one named `dies` ends as a killed process does. */
  const files = (dies?: string): FileToCopy[] =>
    ['a', 'b', 'c'].map((name) => ({
      name,
      bytes: 6,
      *parts() {
        made.push(name);
        yield bytes('abc');
        if (name === dies) throw new Error('killed');
        yield bytes(name.repeat(3));
      },
    }));
  const copy = (list: FileToCopy[], check = (_: string) => {}, context = contextOf()) =>
    copyModel({ target, sources: [source], files: list, check }, context);
  const full = new ParetuneError('disk', 'The disk is full.', { hint: 'Free some.' });
  const breaks = (): Iterable<Uint8Array> => {
    throw full;
  };
  const listed = async (payload: { remove?: string } = {}) =>
    (await (await commands['unfinished-imports']()).command.run(payload, contextOf())).unfinished;
  beforeEach(() => {
    made = [];
    writeFileSync(source, 'the source');
    utimesSync(source, 1000, 1000);
  });

  test('goes on after the files that were done, and makes them anew where they have changed', async () => {
    await assert.rejects(copy(files('c')), /killed/);
    assert.equal(existsSync(target), false);
    writeFileSync(join(`${target}.partial`, 'b'), 'abcbbx');
    writeFileSync(join(`${target}.partial`, '.c.part-1'), 'half');
    made = [];
    const record = await copy(files());
    assert.deepEqual(made, ['b', 'c']);
    assert.deepEqual(readdirSync(target).sort(), ['a', 'b', 'c', importRecordName].sort());
    assert.equal(readFileSync(join(target, 'b'), 'utf8'), 'abcbbb');
    assert.deepEqual(recordOf(target), record);
    assert.equal(existsSync(`${target}.partial`), false);
  });

  test('begins anew where the source has changed or the journal is damaged', async () => {
    await assert.rejects(copy(files('c')), /killed/);
    utimesSync(source, 2000, 2000);
    made = [];
    await assert.rejects(copy(files('c')), /killed/);
    assert.deepEqual(made, ['a', 'b', 'c']);
    writeFileSync(join(`${target}.partial`, importRecordName), '{"version": 1');
    made = [];
    await copy(files());
    assert.deepEqual(made, ['a', 'b', 'c']);
  });

  test('that is killed while it checks what is done forgets none of it', async () => {
    await assert.rejects(copy(files('c')), /killed/);
    writeFileSync(join(`${target}.partial`, 'a'), 'spoilt');
    const dies = {
      ...contextOf(),
      progress({ label, note }: { label: string; note?: string }) {
        if (label === 'checking' && note?.endsWith(' b')) throw new Error('killed again');
      },
    };
    await assert.rejects(copy(files(), undefined, dies), /killed again/);
    made = [];
    await copy(files());
    assert.deepEqual(made, ['c']);
  });

  test('has no folder of that name where the check of the copy fails', async () => {
    const fail = () => {
      throw new Error('not a model');
    };
    await assert.rejects(copy(files(), fail), /not a model/);
    assert.equal(existsSync(target), false);
  });

  test('leaves nothing where going on would be of no use', async () => {
    const fail = () => {
      throw new ParetuneError('bad-file', 'not a model');
    };
    await assert.rejects(copy(files(), fail), { code: 'bad-file' });
    assert.deepEqual(readdirSync(models), []);
    const first = { ...files()[0], parts: breaks };
    await assert.rejects(copy([first]), full);
    assert.deepEqual(readdirSync(models), []);
  });

  test('keeps what was copied where the disk fails, says so, lists it, and removes it when asked', async () => {
    const [a, b] = files();
    const fails = { ...b, parts: breaks };
    await assert.rejects(copy([a, fails]), {
      code: 'disk',
      message: full.message,
      hint: /^Free some\. .* is kept.*paretune models --remove-unfinished m$/,
    });
    const [kept, ...others] = await listed();
    assert.deepEqual([kept.name, kept.from, others], ['m', 'source.bin', []]);
    assert.ok(kept.bytes > 6, 'the file and the journal');
    await assert.rejects(listed({ remove: 'another' }), { code: 'not-found' });
    for (const outside of ['..', '../models/m', 'm.partial'])
      await assert.rejects(listed({ remove: outside }), { code: 'not-found' });
    made = [];
    await assert.rejects(copy([a, fails]), { code: 'disk' });
    assert.deepEqual(made, [], 'it went on from there');
    assert.deepEqual(await listed({ remove: 'm' }), []);
    assert.deepEqual(readdirSync(models), []);
  });

  test('tells a copy that cannot be read back', async () => {
    const list = files();
    const spoil = {
      ...list[2],
      *parts() {
        writeFileSync(join(`${target}.partial`, 'a'), 'spoilt');
        yield bytes('c');
      },
    };
    await assert.rejects(copy([list[0], list[1], spoil]), { code: 'disk' });
    assert.equal(existsSync(target), false);
  });
});
