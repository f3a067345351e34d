/** An import of a GGUF file killed with kill -9 in the middle of its weights: absent, then whole. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { entry, ggufBytes, tensorInfo } from '../weights/gguf-writer.ts';

const home = mkdtempSync(join(tmpdir(), 'paretune-import-'));
after(() => rmSync(home, { recursive: true, force: true }));
const main = join(import.meta.dirname, '..', '..', 'src-main', 'cli', 'main.ts');
const file = join(home, 'large.gguf');
const args = [main, 'import', file, '--json', '--data', home];

/** A model of one layer whose embedding takes 200 MB; bytes stand in for its tokenizer. */
function writeLarge(): void {
  const [width, vocabulary, feed] = [256, 200_000, 32];
  const shapes: Record<string, number[]> = {
    'token_embd.weight': [width, vocabulary],
    'blk.0.attn_norm.weight': [width],
    ...Object.fromEntries(['q', 'k', 'v', 'output'].map((part) => [`blk.0.attn_${part}.weight`, [width, width]])),
    'blk.0.ffn_norm.weight': [width],
    'blk.0.ffn_gate.weight': [width, feed],
    'blk.0.ffn_up.weight': [width, feed],
    'blk.0.ffn_down.weight': [feed, width],
    'output_norm.weight': [width],
  };
  const numbers = {
    block_count: 1,
    context_length: 64,
    embedding_length: width,
    feed_forward_length: feed,
    'attention.head_count': 4,
  };
  let offset = 0;
  const infos = Object.entries(shapes).map(([name, dims]) => {
    const info = tensorInfo(name, dims, 0, offset);
    offset += 4 * dims.reduce((a, b) => a * b, 1);
    return info;
  });
  const entries = [
    entry('general.architecture', { type: 'string', value: 'llama' }),
    entry('llama.attention.layer_norm_rms_epsilon', { type: 'f32', value: 1e-5 }),
    ...Object.entries(numbers).map(([key, value]) => entry(`llama.${key}`, { type: 'u32', value })),
  ];
  writeFileSync(file, ggufBytes({ entries, infos, data: Buffer.alloc(offset, 1) }));
}

test('a killed import is absent, and whole after the next one', {
  skip: process.platform === 'win32' && 'kill -9',
}, async () => {
  writeLarge();
  const child = spawn(process.execPath, args, { detached: true, stdio: 'ignore' });
  const ended = once(child, 'exit');
  const partial = join(home, 'models', 'large.partial');
  const begun = () =>
    existsSync(partial) && readdirSync(partial).some((name) => name.startsWith('.model.safetensors.part'));
  for (let i = 0; i < 3000 && !begun(); i++) await setTimeout(10);
  assert.ok(begun(), 'the weights were being written');
  process.kill(-child.pid!, 'SIGKILL');
  await ended;
  assert.equal(existsSync(join(home, 'models', 'large')), false);
  assert.equal(existsSync(join(partial, 'config.json')), true);
  const { stdout } = spawnSync(process.execPath, [main, 'models', '--json', '--data', home], { encoding: 'utf8' });
  assert.deepEqual(
    JSON.parse(stdout).models.map(({ name }: { name: string }) => name),
    ['starter:over-user', 'starter:under-user'],
  );
  const again = spawnSync(process.execPath, args, { encoding: 'utf8' });
  assert.equal(again.status, 0, again.stderr);
  assert.equal(JSON.parse(again.stdout).parameters, 51_487_488);
  assert.deepEqual(readdirSync(join(home, 'models')), ['large']);
  assert.deepEqual(readdirSync(join(home, 'models', 'large')).sort(), [
    'config.json',
    'model.safetensors',
    'paretune-import.json',
  ]);
});
