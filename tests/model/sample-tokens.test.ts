/** Drawing a token inside the graph, over small vocabularies and over those that are searched block by block. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { randomStream } from '../../src-main/engine/base/random.ts';
import { Graph } from '../../src-main/engine/graph/graph.ts';
import { blockWidth, sampleTokens } from '../../src-main/engine/model/decode-graph.ts';
import { createSession } from '../../src-main/engine/runtime/session.ts';

/** Tokens and log-probabilities [B][R] that the graph draws for these logits [B][V] and uniforms [B][R]. */
async function draw(logits: number[][], uniforms: number[][]) {
  const V = logits[0].length;
  const graph = new Graph('draw');
  const { tokens, logprobs } = sampleTokens(
    graph.input('logits', 'float32', ['B', V]),
    graph.input('uniforms', 'float32', ['B', 'R']),
  );
  graph.output('tokens', tokens);
  graph.output('logprobs', logprobs);
  const session = await createSession(graph, { threads: 1 });
  const tensor = (rows: number[][]) =>
    ({ dtype: 'float32', shape: [rows.length, rows[0].length], data: Float32Array.from(rows.flat()) }) as const;
  const results = await session.run({ logits: tensor(logits), uniforms: tensor(uniforms) });
  await session.dispose();
  const R = uniforms[0].length;
  const rows = <T>(read: (i: number) => T) =>
    uniforms.map((_, b) => Array.from({ length: R }, (_, r) => read(b * R + r)));
  return {
    tokens: rows((i) => Number(results.tokens.data[i])),
    logprobs: rows((i) => results.logprobs.data[i] as number),
  };
}

test('a large vocabulary is cut into blocks near its root, a small or indivisible one is not', () => {
  assert.deepEqual([677, 8191, 8192, 49_152, 151_936, 32_064, 99_991].map(blockWidth), [1, 1, 64, 192, 128, 167, 1]);
});

for (const V of [677, 8192, 49_152]) {
  test(`of ${V} tokens the one is drawn whose share of the odds holds u, with its log-probability`, async () => {
    const random = randomStream(3, 'draw', V);
    const logits = Array.from({ length: 3 }, () => Array.from({ length: V }, () => 3 * random.normal()));
    // odds that are 0 in float32, and a row that is nearly certain
    for (let i = 0; i < V; i += 3) logits[0][i] = -200;
    logits[1][V - 5] = 60;
    const uniforms = logits.map(() => [1e-9, 1 - 2 ** -24, ...Array.from({ length: 62 }, () => random.next())]);
    const drawn = await draw(logits, uniforms);
    for (const [b, row] of logits.entries()) {
      const top = Math.max(...row);
      const odds = row.map((z) => Math.exp(Math.fround(z) - Math.fround(top)));
      const total = odds.reduce((a, c) => a + c);
      for (const [r, u] of uniforms[b].entries()) {
        const token = drawn.tokens[b][r];
        assert.ok(Math.fround(odds[token]) > 0, `token ${token} has no odds`);
        const before = odds.slice(0, token).reduce((a, c) => a + c, 0) / total;
        const share = odds[token] / total;
        assert.ok(before - 2e-5 <= u && u <= before + share + 2e-5, `u ${u} outside ${before} + ${share}`);
        assert.ok(Math.abs(drawn.logprobs[b][r] - Math.log(share)) < 2e-5);
      }
    }
  });
}
