/** `paretune import --from-hub` as a user meets it: real processes and a hub on this machine. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { type FakeHub, startFakeHub } from '../hub/fake-hub.ts';
import { ggufPath } from '../weights/gguf-fixtures.ts';

const main = join(import.meta.dirname, '..', '..', 'src-main', 'cli', 'main.ts');
const token = 'hf_a-secret-of-the-user';
const bytes = readFileSync(ggufPath('llama'));

describe('import --from-hub', { concurrency: false, timeout: 120_000 }, () => {
  const home = mkdtempSync(join(tmpdir(), 'paretune-cli-hub-'));
  let hub: FakeHub;
  before(async () => {
    hub = await startFakeHub({
      'o/m-GGUF': { files: { 'tiny.gguf': bytes, 'two.gguf': bytes }, card: { license: 'mit' } },
    });
  });
  after(async () => {
    await hub.close();
    rmSync(home, { recursive: true, force: true });
  });

  type Ended = { code: number | null; out: string; err: string };
  function paretune(
    args: string[],
    variables: Record<string, string> = {},
    onStart?: (child: ChildProcess) => void,
  ): Promise<Ended> {
    const env = { ...process.env, HF_ENDPOINT: hub.endpoint, HF_TOKEN: token, ...variables };
    const child = spawn(process.execPath, [main, ...args, '--data', home], { env, stdio: ['ignore', 'pipe', 'pipe'] });
    const ended: Ended = { code: null, out: '', err: '' };
    child.stdout.setEncoding('utf8').on('data', (text) => {
      ended.out += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text) => {
      ended.err += text;
    });
    onStart?.(child);
    return new Promise<Ended>((done) => child.on('close', (code) => done({ ...ended, code })));
  }
  const command = ['import', '--from-hub', 'o/m-GGUF', '--file', 'tiny.gguf'];

  test('says first what it fetches, from where and where to; Ctrl-C keeps it; the same command goes on', async () => {
    let stop = () => {};
    hub.intercept = (path, response) => {
      if (!path.endsWith('tiny.gguf')) return false;
      response.write(bytes.subarray(0, 40_000), () => setTimeout(() => stop(), 500)); // and then nothing more
      return true;
    };
    const first = await paretune([...command, '--json'], {}, (child) => {
      stop = () => child.kill('SIGINT');
    });
    assert.equal(first.code, 1);
    const { error } = JSON.parse(first.out);
    assert.equal(error.code, 'interrupted');
    assert.match(error.hint, /the same command goes on from there/);
    const offer = first.err.slice(0, first.err.indexOf('Finishing'));
    assert.match(offer, new RegExp(`o/m-GGUF, revision main \\(commit [0-9a-f]{12}\\), from ${hub.host}`));
    assert.match(offer, /licence: mit/);
    assert.match(offer, /tiny\.gguf +\d/);
    assert.match(offer, /B into .*tiny/);
    assert.equal(hub.asked.at(-1)?.authorization, `Bearer ${token}`);

    const listed = await paretune(['models']);
    assert.match(listed.out, /unfinished: tiny, .* o\/m-GGUF@[0-9a-f]{40} .*--remove-unfinished tiny/);

    hub.intercept = null;
    const second = await paretune(command);
    assert.equal(second.code, 0, second.err);
    assert.match(second.err, /40 kB are here from an earlier try/);
    assert.match(second.out, /imported:tiny: llama/);
    assert.equal(hub.asked.at(-1)?.range, `bytes=40000-${bytes.length - 1}`);
    assert.deepEqual(readdirSync(join(home, 'models')), ['tiny']);
    for (const { out, err } of [first, second, listed])
      assert.ok(!`${out}${err}`.includes(token), 'the token is secret');
  });

  test('only looks with --dry-run, and not at all with HF_HUB_OFFLINE', async () => {
    const looked = await paretune(['import', '--from-hub', 'o/m-GGUF', '--file', 'two.gguf', '--dry-run', '--json']);
    assert.equal(looked.code, 0, looked.err);
    assert.equal(JSON.parse(looked.out).model, null);
    hub.asked = [];
    const { code, err } = await paretune([...command, '--as', 'x'], { HF_HUB_OFFLINE: '1' });
    assert.deepEqual([code, hub.asked], [1, []]);
    assert.match(err, /HF_HUB_OFFLINE forbids/);
  });

  test('explains what does not fit', async () => {
    const none = await paretune(['import']);
    assert.deepEqual([none.code, /Give a folder or a \.gguf file/.test(none.err)], [2, true]);
    const mixed = await paretune(['import', ggufPath('llama'), '--file', 'x.gguf']);
    assert.match(mixed.err, /belong to --from-hub/);
    const several = await paretune(['import', '--from-hub', 'o/m-GGUF']);
    assert.match(several.err, /2 GGUF files: tiny\.gguf, two\.gguf/);
    const nobody = await paretune(command.concat('--as', 'y'), { HF_ENDPOINT: 'http://127.0.0.1:9' });
    assert.match(nobody.err, /127\.0\.0\.1:9 cannot be reached/);
  });

  test('no other command goes online, whatever the variables say', async () => {
    hub.asked = [];
    for (const args of [['models'], ['runs'], ['tools', 'list'], ['import', ggufPath('llama'), '--as', 'local']]) {
      const { code, err } = await paretune(args);
      assert.equal(code, 0, err);
    }
    assert.deepEqual(hub.asked, []);
  });
});
