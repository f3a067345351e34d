/** A model of a hub into the library: the same model as from its folder or file, or nothing but what the next try goes on from. */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import type { Json } from '../../src-main/contract/records.ts';
import type { CommandContext } from '../../src-main/engine-process/command.ts';
import { commands } from '../../src-main/engine-process/commands.ts';
import type { HubOffer } from '../../src-main/engine-process/commands/import-hub.ts';
import { importRecordName } from '../../src-main/engine-process/model-copy.ts';
import { commitOf, type FakeHub, sendBytes, startFakeHub } from '../hub/fake-hub.ts';
import { ggufPath } from '../weights/gguf-fixtures.ts';

const root = mkdtempSync(join(tmpdir(), 'paretune-import-hub-'));
after(() => rmSync(root, { recursive: true }));
const models = join(root, 'models');
const gguf = readFileSync(ggufPath('llama'));

let hub: FakeHub;
let files: Record<string, Buffer>;
let weightsHash: string;
let labels: string[] = [];

const contextOf = (more: Partial<CommandContext> = {}): CommandContext => ({
  dataFolder: root,
  emit() {},
  progress: ({ label, secondsLeft }) => void labels.push(secondsLeft === undefined ? label : `${label}, timed`),
  item() {},
  signal: new AbortController().signal,
  ...more,
});
const fromHub = async (
  repo: string,
  more: { file?: string; name?: string; fetch?: boolean } = {},
  context = contextOf(),
) =>
  (await commands['import-hub']()).command.run(
    { access: { endpoint: hub.endpoint, token: null }, repo, fetch: true, ...more },
    context,
  );
const unfinished = async (remove?: string) =>
  (await (await commands['unfinished-imports']()).command.run({ remove }, contextOf())).unfinished;

before(async () => {
  // a folder of safetensors, made by an import of the file
  const made = await (await commands.import()).command.run({ folder: ggufPath('llama') }, contextOf());
  weightsHash = made.weightsHash;
  const names = readdirSync(made.folder).filter((name) => name !== importRecordName);
  files = Object.fromEntries(names.map((name) => [name, readFileSync(join(made.folder, name))]));
  const config = JSON.parse(files['config.json'].toString());
  const unknown = { ...config, model_type: 'mamba', architectures: ['MambaForCausalLM'] };
  const damaged = Buffer.from(files['model.safetensors']);
  damaged[9] = 0x80;
  hub = await startFakeHub({
    'o/tiny': { files: { ...files, 'pytorch_model.bin': gguf }, card: { license: 'mit' } },
    'o/tiny-GGUF': { files: { 'tiny.gguf': gguf, 'other.gguf': gguf } },
    'o/unknown': { files: { ...files, 'config.json': Buffer.from(JSON.stringify(unknown)) } },
    'o/vast': {
      files,
      listed: { 'model.safetensors': { size: 1e15, lfs: { oid: '0'.repeat(64), size: 1e15 } } },
    },
    'o/damaged': { files: { ...files, 'model.safetensors': damaged } },
  });
});
after(() => hub.close());
beforeEach(() => {
  rmSync(models, { recursive: true, force: true });
  labels = [];
  hub.asked = [];
});
afterEach(() => {
  hub.intercept = null;
});

describe('import from a hub', () => {
  test('makes the same model as an import of its folder, and records where it came from', async () => {
    const offers: Json[] = [];
    const { model, plan } = await fromHub('o/tiny', {}, contextOf({ item: (item) => void offers.push(item) }));
    assert.equal((offers[0] as unknown as HubOffer).plan.commit, plan.commit);
    assert.deepEqual([model?.name, model?.weightsHash], ['imported:tiny', weightsHash]);
    const record = JSON.parse(readFileSync(join(model!.folder, importRecordName), 'utf8'));
    assert.deepEqual(record.hub, { host: hub.host, repo: 'o/tiny', commit: commitOf('o/tiny'), licence: 'mit' });
    for (const [name, bytes] of Object.entries(files)) assert.deepEqual(readFileSync(join(model!.folder, name)), bytes);
    assert.deepEqual(readdirSync(models), ['tiny'], 'the download is gone');
    assert.equal(statSync(join(model!.folder, 'model.safetensors')).nlink, 1);
    assert.ok(!hub.asked.some(({ path }) => path.endsWith('.bin')));
    assert.ok(labels.includes('fetching, timed'), labels.join());
    await assert.rejects(fromHub('o/tiny'), { code: 'usage', message: /imported as tiny already/ });
  });

  test('converts the GGUF file that was chosen, under its own name or another', async () => {
    const { model } = await fromHub('o/tiny-GGUF', { file: 'tiny.gguf' });
    assert.deepEqual([model?.name, model?.weightsHash], ['imported:tiny', weightsHash]);
    const again = await fromHub('o/tiny-GGUF@v1', { file: 'tiny.gguf', name: 'mine' });
    assert.equal(again.model?.name, 'imported:mine');
    assert.deepEqual(readdirSync(models).sort(), ['mine', 'tiny']);
  });

  test('only looks where that is asked for', async () => {
    const { model, plan } = await fromHub('o/tiny', { fetch: false });
    assert.deepEqual([model, plan.pickles], [null, ['pytorch_model.bin']]);
    assert.ok(hub.asked.every(({ path }) => path.startsWith('/api/')));
    assert.equal(existsSync(models), false);
  });

  test('asks nobody where the name is taken or none', async () => {
    for (const name of ['../x', 'a.download', 'a.partial'])
      await assert.rejects(fromHub('o/tiny', { name }), { code: 'usage' }, name);
    await assert.rejects(fromHub('../o'), { code: 'usage' });
    assert.deepEqual(hub.asked, []);
  });

  test('that is stopped keeps what was fetched, says so, lists it, and goes on from there', async () => {
    const stop = new AbortController();
    hub.intercept = (path, response, request) => {
      if (!path.endsWith('model.safetensors')) return false;
      response
        .writeHead(200)
        .write(files['model.safetensors'].subarray(0, 50_000), () => setTimeout(() => stop.abort(), 30));
      return request.headers.range === undefined;
    };
    await assert.rejects(fromHub('o/tiny', {}, contextOf({ signal: stop.signal })), {
      code: 'interrupted',
      hint: /MB are kept.*models --remove-unfinished tiny$/,
    });
    assert.deepEqual(readdirSync(models), ['tiny.download']);
    const [{ name, from, bytes }] = await unfinished();
    assert.deepEqual([name, from], ['tiny', `o/tiny@${commitOf('o/tiny')}`]);
    assert.ok(bytes > 50_000);
    hub.intercept = null;
    hub.asked = [];
    const { model, bytesHere } = await fromHub('o/tiny');
    assert.equal(model?.weightsHash, weightsHash);
    assert.ok(bytesHere >= 50_000);
    const fetched = hub.asked.filter(({ path }) => path.includes('/resolve/'));
    assert.deepEqual(
      fetched.map(({ path, range }) => [basename(path), range?.startsWith('bytes=50000-')]),
      [['model.safetensors', true]],
    );
    assert.deepEqual(await unfinished(), []);
  });

  test('that failed can be removed', async () => {
    hub.intercept = (path, response) => path.endsWith('model.safetensors') && Boolean(response.writeHead(429).end());
    await assert.rejects(fromHub('o/tiny'), { code: 'network', hint: /is kept|are kept/ });
    assert.equal((await unfinished()).length, 1);
    assert.deepEqual(await unfinished('tiny'), []);
    assert.deepEqual(readdirSync(models), []);
  });

  test('that does not fit on the disk fetches nothing', async () => {
    await assert.rejects(fromHub('o/vast'), { code: 'disk', message: /o\/vast needs 95\d* MB, \d+ MB are free/ });
    assert.deepEqual(readdirSync(models), []);
    assert.ok(hub.asked.every(({ path }) => path.startsWith('/api/')));
  });

  test('refuses a model that it cannot read before it fetches the weights, and keeps nothing of it', async () => {
    await assert.rejects(fromHub('o/unknown'), { code: 'unsupported', message: /mamba/i });
    assert.ok(!hub.asked.some(({ path }) => path.endsWith('model.safetensors')));
    await assert.rejects(fromHub('o/damaged'), { code: 'bad-file' });
    assert.deepEqual(readdirSync(models), []);
  });

  test('with bytes of another hash than the list says leaves no model', async () => {
    const wrong = Buffer.from(files['model.safetensors']);
    wrong[wrong.length - 1] ^= 1;
    hub.intercept = (path, response, request) => {
      if (path.endsWith('model.safetensors')) sendBytes(response, wrong, request.headers.range);
      return path.endsWith('model.safetensors');
    };
    await assert.rejects(fromHub('o/tiny'), { code: 'bad-file', message: /model\.safetensors is not what/ });
    assert.deepEqual(readdirSync(models), ['tiny.download']);
    assert.ok(!readdirSync(join(models, 'tiny.download')).includes('model.safetensors'));
  });
});
