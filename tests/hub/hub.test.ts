/** What is asked of a hub and what is made of its answers, against a hub on this machine: faults, lies and limits. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { bytesOnDisk, downloadFile } from '../../src-main/hub/download-file.ts';
import { openHub } from '../../src-main/hub/hub-connection.ts';
import { type HubPlan, lookUp } from '../../src-main/hub/hub-plan.ts';
import { parseHubRequest } from '../../src-main/hub/hub-request.ts';
import { commitOf, type FakeHub, type FakeRepo, refuse, sendBytes, sha256, startFakeHub } from './fake-hub.ts';

const token = 'hf_a-secret-of-the-user';
const weights = randomBytes(400_000);
const text = (value: string) => Buffer.from(value);
const small = { 'config.json': text('{"a":1}'), 'tokenizer.json': text('{}'), 'README.md': text('# a model') };

const folder = mkdtempSync(join(tmpdir(), 'paretune-hub-'));
after(() => rmSync(folder, { recursive: true }));

const repos: Record<string, FakeRepo> = {
  'o/folder': {
    files: { ...small, 'model.safetensors': weights, 'pytorch_model.bin': weights, 'onnx/x.onnx': weights },
    card: { license: 'apache-2.0' },
  },
  'o/shards': {
    files: {
      ...small,
      'model-1.safetensors': weights,
      'model-2.safetensors': weights,
      'consolidated.safetensors': weights,
      'model.safetensors.index.json': text(
        JSON.stringify({ weight_map: { a: 'model-1.safetensors', b: 'model-2.safetensors' } }),
      ),
    },
    card: { license: 'other', license_name: 'their-own' },
  },
  'o/bad-index': {
    files: { ...small, 'model.safetensors.index.json': text('{"weight_map":{"a":"../model-1.safetensors"}}') },
  },
  'o/pickles': { files: { ...small, 'pytorch_model.bin': weights, 'b.pt': weights } },
  'o/adapter': { files: { 'adapter_config.json': text('{}'), 'model.safetensors': weights } },
  'o/empty': { files: { 'README.md': text('nothing') } },
  'o/gguf': { files: { 'a.Q4_K_M.gguf': weights, 'a.Q8_0.gguf': weights, 'deep/b.gguf': weights } },
  'o/one-gguf': { files: { 'README.md': text(''), 'a.gguf': weights } },
  'o/climbs': {
    files: { ...small, 'model.safetensors': weights },
    listed: { 'README.md': { path: '../config.json' } },
  },
  'o/backslash': { files: { ...small, 'model.safetensors': weights }, listed: { 'README.md': { path: 'a\\..\\b' } } },
  'o/no-hash': { files: { ...small, 'model.safetensors': weights }, listed: { 'config.json': { oid: undefined } } },
  'o/huge': { files: { ...small, 'model.safetensors': weights }, listed: { 'tokenizer.json': { size: 1e12 } } },
};

let hub: FakeHub;
let other: FakeHub;
before(async () => {
  hub = await startFakeHub(repos);
  other = await startFakeHub(repos);
});
after(() => Promise.all([hub.close(), other.close()]));
beforeEach(() => {
  for (const one of [hub, other]) one.asked = [];
  for (const name of readdirSync(folder)) rmSync(join(folder, name));
});
afterEach(() => {
  for (const one of [hub, other]) one.intercept = null;
});

const limits = { patienceMs: 400, retryMs: 2 };
const connect = (more: { token?: string; endpoint?: string; signal?: AbortSignal } = {}) =>
  openHub(
    { endpoint: more.endpoint ?? hub.endpoint, token: more.token ?? null },
    more.signal ?? new AbortController().signal,
    limits,
  );
const plan = async (repo: string, file?: string, more = {}) => lookUp(connect(more), parseHubRequest(repo, file));
const names = ({ files }: HubPlan) => files.map(({ name }) => name).sort();

describe('the look-up', () => {
  test('takes what a model folder needs, with sizes, hashes, commit and licence', async () => {
    const found = await plan('o/folder');
    assert.deepEqual(names(found), ['config.json', 'model.safetensors', 'tokenizer.json']);
    assert.deepEqual([found.commit, found.licence, found.host], [commitOf('o/folder'), 'apache-2.0', hub.host]);
    assert.equal(found.bytes, weights.length + 7 + 2);
    assert.deepEqual(found.pickles, ['pytorch_model.bin']);
    assert.deepEqual(found.files.at(-1)?.hash, { kind: 'sha256', value: sha256(weights) });
    assert.equal(found.files[0].hash.kind, 'git');
    assert.ok(
      hub.asked.every(({ path }) => path.startsWith('/api/')),
      'nothing is fetched yet',
    );
    assert.equal((await plan('o/folder@v1')).revision, 'v1');
  });

  test('takes the shards that the index names, and no other weights', async () => {
    const found = await plan('o/shards');
    const shards = ['model-1.safetensors', 'model-2.safetensors', 'model.safetensors.index.json'];
    assert.deepEqual(names(found), ['config.json', ...shards, 'tokenizer.json']);
    assert.equal(found.licence, 'their-own');
  });

  test('takes one GGUF file, and asks which where there are several', async () => {
    assert.deepEqual(names(await plan('o/one-gguf')), ['a.gguf']);
    assert.deepEqual(names(await plan('o/gguf', 'a.Q8_0.gguf')), ['a.Q8_0.gguf']);
    assert.deepEqual((await plan('o/gguf', 'deep/b.gguf')).files[0].path, 'deep/b.gguf');
    await assert.rejects(plan('o/gguf'), { code: 'usage', message: /2 GGUF files: a\.Q4_K_M\.gguf, a\.Q8_0\.gguf/ });
    await assert.rejects(plan('o/gguf', 'c.gguf'), { code: 'not-found', hint: /a\.Q4_K_M\.gguf/ });
  });

  test('refuses pickles, adapters and what has no weights, by name', async () => {
    await assert.rejects(plan('o/pickles'), {
      code: 'unsupported',
      message: /pytorch_model\.bin, b\.pt: pickle files/,
    });
    await assert.rejects(plan('o/folder', 'pytorch_model.bin'), { code: 'unsupported', message: /pickle/ });
    await assert.rejects(plan('o/adapter'), { code: 'unsupported', message: /no config\.json.*adapter/ });
    await assert.rejects(plan('o/empty'), { code: 'unsupported', message: /no weights in safetensors or GGUF/ });
    await assert.rejects(plan('o/gguf', 'a-00001-of-00002.gguf'), { code: 'unsupported', message: /several GGUF/ });
  });

  test('refuses a list that lies: names that lead away, no hash, sizes without bound', async () => {
    await assert.rejects(plan('o/climbs'), { code: 'bad-file', message: /a file named "\.\.\/config\.json"/ });
    await assert.rejects(plan('o/backslash'), { code: 'bad-file', message: /nothing was fetched/ });
    await assert.rejects(plan('o/bad-index'), { code: 'bad-file', message: /"\.\.\/model-1\.safetensors"/ });
    await assert.rejects(plan('o/no-hash'), { code: 'bad-file', message: /no hash of config\.json/ });
    await assert.rejects(plan('o/huge'), { code: 'bad-file', message: /tokenizer\.json of 1000000000000 bytes/ });
  });

  test('refuses names that are none', () => {
    for (const name of ['../x', 'a/b/c', '', 'a/..', 'a@b@c', 'o/m@../x', '-x/y', 'https://huggingface.co/o/m'])
      assert.throws(() => parseHubRequest(name, undefined), { code: 'usage' }, name);
    for (const file of ['../a.gguf', '/a.gguf', 'a\\b.gguf', 'a.json', 'a/../b.gguf'])
      assert.throws(() => parseHubRequest('o/m', file), { code: 'usage' }, file);
  });

  test('says what a refusal means and what to do', async () => {
    const refused = (status: number, code?: string, headers = {}) => {
      hub.intercept = (_, response) => {
        refuse(response, status, code, headers);
        return true;
      };
    };
    await assert.rejects(plan('o/none'), { code: 'not-found', message: /no such model/ });
    await assert.rejects(plan('o/folder@v9'), { code: 'not-found', message: /no such revision/ });
    refused(401);
    await assert.rejects(plan('o/folder'), { code: 'network', message: /401/, hint: /HF_TOKEN/ });
    refused(403, 'GatedRepo');
    await assert.rejects(plan('o/folder'), { code: 'network', message: /accepted its conditions/, hint: /HF_TOKEN/ });
    refused(429, undefined, { 'retry-after': '40' });
    await assert.rejects(plan('o/folder'), { code: 'network', message: /no more requests/, hint: /in 40 s/ });
    refused(503);
    await assert.rejects(plan('o/folder'), { code: 'network', message: /503/ });
    refused(418);
    await assert.rejects(plan('o/folder'), { code: 'network', message: /418/ });
    refused(401);
    const error = await plan('o/folder', undefined, { token }).catch((thrown) => thrown);
    assert.match(error.message, /does not accept the token/);
    assert.doesNotMatch(JSON.stringify([error.message, error.hint, error.stack]), /secret/);
  });

  test('says which host cannot be reached, and how to do without', async () => {
    const gone = await startFakeHub({});
    await gone.close();
    await assert.rejects(
      plan('o/folder', undefined, { endpoint: gone.endpoint }),
      (error: Error & { hint: string }) => {
        assert.ok(error.message.startsWith(`${gone.host} cannot be reached`), error.message);
        assert.match(error.hint, /paretune import FOLDER/);
        return true;
      },
    );
    hub.intercept = () => true; // never answers
    await assert.rejects(plan('o/folder'), { code: 'network', message: /no answer in 0\.4 s/ });
    hub.intercept = (_, response) => Boolean(response.end('<html>a captive portal</html>'));
    await assert.rejects(plan('o/folder'), { code: 'bad-file', message: /no JSON/ });
    hub.intercept = (_, response) => Boolean(response.end('{"sha":"main"}'));
    await assert.rejects(plan('o/folder'), { code: 'bad-file', message: /not one of a model/ });
  });

  test('stays with the host that the user named', async () => {
    hub.intercept = (path, response) =>
      Boolean(response.writeHead(307, { location: `${other.endpoint}${path}` }).end());
    await assert.rejects(plan('o/folder'), { code: 'network', message: /sends us on to .* for the list/ });
    assert.deepEqual(other.asked, []);
    hub.intercept = (path, response) => Boolean(response.writeHead(307, { location: path }).end());
    await assert.rejects(plan('o/folder'), { code: 'network', message: /more than 5 times/ });
  });

  test('sends no token where it could be read', () => {
    const bad: [string, RegExp][] = [
      ['http://models.example', /unencrypted/],
      ['not an address', /no address/],
      ['file:///etc/passwd', /https/],
      ['https://user:word@models.example', /host, a port and a path/],
    ];
    for (const [endpoint, message] of bad)
      assert.throws(() => connect({ endpoint, token }), { code: 'usage', message });
  });
});

describe('a download', () => {
  const seen: number[] = [];
  const fetched = async (bytes: number) => void seen.push(bytes);
  beforeEach(() => void seen.splice(0));

  /** The weights of o/folder, as the list says. */
  async function fetchWeights(more: { token?: string; signal?: AbortSignal } = {}) {
    const found = await plan('o/folder');
    const file = found.files.at(-1)!;
    hub.asked = [];
    await downloadFile(connect(more), found, file, folder, fetched);
    return file;
  }
  const isWhole = () => assert.deepEqual(readFileSync(join(folder, 'model.safetensors')), weights);
  const part = `.${sha256(weights).slice(0, 32)}.part`;
  const ranges = () => hub.asked.map(({ range }) => range);
  const sum = () => seen.reduce((a, b) => a + b, 0);
  const onWeights = (act: (response: Parameters<NonNullable<FakeHub['intercept']>>[1], range?: string) => void) => {
    hub.intercept = (path, response, request) => {
      if (!path.endsWith('model.safetensors')) return false;
      act(response, request.headers.range);
      return true;
    };
  };

  test('has the bytes and the hash of the list, and is not fetched twice', async () => {
    const file = await fetchWeights();
    isWhole();
    assert.deepEqual(readdirSync(folder), ['model.safetensors']);
    assert.equal(sum(), weights.length);
    assert.equal(bytesOnDisk(folder, file), weights.length);
    await fetchWeights();
    assert.deepEqual(hub.asked, []);
    writeFileSync(join(folder, 'model.safetensors'), randomBytes(weights.length));
    await fetchWeights();
    isWhole();
  });

  test('goes on by range where a connection breaks', async () => {
    onWeights((response, range) => sendBytes(response, weights, range, 150_000));
    await fetchWeights();
    isWhole();
    assert.deepEqual(ranges(), [undefined, 'bytes=150000-399999', 'bytes=300000-399999']);
    assert.equal(sum(), weights.length);
  });

  test('goes on where an earlier try ended, whether its bytes were right or not', async () => {
    writeFileSync(join(folder, part), weights.subarray(0, 250_000));
    await fetchWeights();
    isWhole();
    assert.deepEqual(ranges(), ['bytes=250000-399999']);
    rmSync(join(folder, 'model.safetensors'));
    writeFileSync(join(folder, part), randomBytes(250_000));
    seen.splice(0);
    await fetchWeights();
    isWhole();
    assert.deepEqual(ranges(), ['bytes=250000-399999', undefined]);
    assert.equal(sum(), weights.length);
    rmSync(join(folder, 'model.safetensors'));
    writeFileSync(join(folder, part), randomBytes(500_000));
    await fetchWeights();
    isWhole();
  });

  test('begins anew with a host that knows no ranges', async () => {
    let broken = false;
    onWeights((response) => {
      sendBytes(response, weights, undefined, broken ? undefined : 100_000);
      broken = true;
    });
    await fetchWeights();
    isWhole();
    assert.equal(sum(), weights.length);
  });

  test('is refused where the host answers with another range', async () => {
    writeFileSync(join(folder, part), weights.subarray(0, 1000));
    onWeights((response) => sendBytes(response, weights, 'bytes=2000-399999'));
    await assert.rejects(fetchWeights(), { code: 'network', message: /answers with others/ });
  });

  test('is given up after six breaks without a byte, and kept', async () => {
    writeFileSync(join(folder, part), weights.subarray(0, 1000));
    onWeights((response) => response.destroy());
    await assert.rejects(fetchWeights(), { code: 'network', message: /cannot be reached/ });
    assert.equal(hub.asked.length, 6);
    assert.deepEqual(readFileSync(join(folder, part)), weights.subarray(0, 1000));
    onWeights((response, range) => {
      response.writeHead(range ? 206 : 200).write('x'); // and then silence
    });
    rmSync(join(folder, part));
    await assert.rejects(fetchWeights(), { code: 'network', message: /answers with others/ });
    assert.deepEqual(readFileSync(join(folder, part)).toString(), 'x');
  });

  test('that is not what the list says is removed', async () => {
    const wrong = randomBytes(weights.length);
    onWeights((response, range) => sendBytes(response, wrong, range));
    await assert.rejects(fetchWeights(), { code: 'bad-file', message: /not what .* says/ });
    assert.deepEqual(readdirSync(folder), []);
    onWeights((response) => void response.end(Buffer.concat([weights, weights])));
    await assert.rejects(fetchWeights(), { code: 'bad-file', message: /more than the 400000 bytes/ });
    assert.ok(!readdirSync(folder).includes('model.safetensors'));
  });

  test('may come from another host, which never sees the token', async () => {
    onWeights(
      (response) =>
        void response.writeHead(302, { location: `${other.endpoint}/o/folder/resolve/main/model.safetensors` }).end(),
    );
    writeFileSync(join(folder, part), weights.subarray(0, 1000));
    await fetchWeights({ token });
    isWhole();
    assert.deepEqual([hub.asked[0].authorization, other.asked[0].authorization], [`Bearer ${token}`, undefined]);
    assert.equal(other.asked[0].range, 'bytes=1000-399999');
  });

  test('does not go where nothing is encrypted, or to what is no web address', async () => {
    for (const location of ['file:///etc/passwd', 'ftp://127.0.0.1/x', 'http://']) {
      onWeights((response) => void response.writeHead(302, { location }).end());
      await assert.rejects(fetchWeights(), { code: 'network' }, location);
    }
  });

  test('says that the disk is full', { skip: process.platform !== 'linux' && 'no /dev/full' }, async () => {
    symlinkSync('/dev/full', join(folder, part));
    await assert.rejects(fetchWeights(), { code: 'disk', hint: /The disk is full/ });
  });

  test('stops when asked to, and keeps its part', async () => {
    const stop = new AbortController();
    onWeights((response) => {
      response.write(weights.subarray(0, 100_000), () => setTimeout(() => stop.abort(), 20));
    });
    await assert.rejects(fetchWeights({ signal: stop.signal }), { name: 'AbortError' });
    assert.ok(readFileSync(join(folder, part)).equals(weights.subarray(0, 100_000)));
  });
});
