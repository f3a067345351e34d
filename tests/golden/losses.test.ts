/**
 * grpo.json: every case of the policy-gradient loss in float64, as graph and gradient, against TRL. Group advantages of
 * the same file are in advantages.test.ts.
 */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { Graph } from '../../src-main/engine/graph/graph.ts';
import { gradientsOf } from '../../src-main/engine/graph/reverse.ts';
import { createSession, type Session, type Tensor } from '../../src-main/engine/runtime/session.ts';
import { type Aggregation, type TrainRow, tokenWeights } from '../../src-main/engine/train/pack-batch.ts';
import { type PolicyLossOptions, policyLoss } from '../../src-main/engine/train/policy-loss.ts';
import { goldenFile, goldenMissing } from './fixtures.ts';
import { assertClose } from './model-fixture.ts';

type Aggregated = { loss: number; grad_logp: number[][] };
type ByAggregation = { grpo: Aggregated; dapo: Aggregated; dr_grpo: Aggregated };
type Expected = ByAggregation & {
  ratio: number[][];
  per_token_kl: number[][];
  per_token_loss: number[][];
  mean_kl: number;
  clip_low: number;
  clip_high: number;
  clip_region: number;
};
type Case = {
  name: string;
  eps_low: number;
  eps_high: number;
  beta: number;
  delta: number | null;
  importance_level: 'token' | 'sequence';
  max_len: number;
  logp: number[][];
  old_logp: number[][];
  ref_logp: number[][];
  advantages: number[];
  mask: number[][];
  expected: { plain: Expected; is_corrected?: Expected };
};
type Golden = {
  cases: Case[];
  accumulation: { of: string; micro_batches: number[][]; kl: 'plain' | 'is_corrected'; expected: ByAggregation[] };
};

const aggregations: [keyof ByAggregation, Aggregation][] = [
  ['grpo', 'sequence-mean'],
  ['dapo', 'batch-token'],
  ['dr_grpo', 'constant'],
];
const TOLERANCE = 1e-12;

/** The unmasked tokens of some sequences, as indices [sequence, token]. */
const tokensOf = (mask: number[][], sequences = [...mask.keys()]): [number, number][] =>
  sequences.flatMap((s) => mask[s].flatMap((on, t) => (on ? [[s, t] as [number, number]] : [])));

const asRows = ({ mask, advantages }: Case): TrainRow[] =>
  mask.map((row, s) => ({
    tokens: [],
    trained: row.flatMap((on, t) => (on ? [t] : [])),
    advantage: advantages[s],
  }));

function optionsOf(golden: Case, klForm: PolicyLossOptions['klForm'], klCoefficient = golden.beta): PolicyLossOptions {
  return {
    clipLow: golden.eps_low,
    clipHigh: golden.eps_high,
    delta: golden.delta,
    klCoefficient,
    klForm,
    importance: golden.importance_level,
    old: 'input',
  };
}

const sessions = new Map<string, Promise<Session>>();
after(async () => {
  for (const session of sessions.values()) await (await session).dispose();
});

/** The loss graph in float64: every output of policyLoss, and the gradient. */
function lossSession(options: PolicyLossOptions): Promise<Session> {
  const key = JSON.stringify(options);
  const known = sessions.get(key);
  if (known) return known;
  const graph = new Graph('loss');
  const logprobs = graph.input('logprobs', 'float64', ['K', 1]);
  const { kl, ...results } = policyLoss(graph, logprobs, options);
  for (const [name, value] of Object.entries(results)) graph.output(name, value);
  if (kl) graph.output('kl', kl);
  graph.output('gradient', gradientsOf(results.loss, [logprobs])[0]);
  const session = createSession(graph, { threads: 1 });
  sessions.set(key, session);
  return session;
}

/** Its numbers on some sequences of a case. */
async function lossOf(golden: Case, options: PolicyLossOptions, aggregation: Aggregation, sequences?: number[]) {
  const tokens = tokensOf(golden.mask, sequences);
  const kept = sequences ?? [...golden.mask.keys()];
  const weights = tokenWeights(asRows(golden), aggregation, golden.max_len);
  const column = (read: (s: number, t: number) => number): Tensor => ({
    dtype: 'float64',
    shape: [tokens.length, 1],
    data: Float64Array.from(tokens, ([s, t]) => read(s, t)),
  });
  const session = await lossSession(options);
  const outputs = await session.run({
    logprobs: column((s, t) => golden.logp[s][t]),
    oldLogprobs: column((s, t) => golden.old_logp[s][t]),
    referenceLogprobs: column((s, t) => golden.ref_logp[s][t]),
    advantages: column((s) => golden.advantages[s]),
    tokenWeights: column((s) => weights[s]),
    sequenceShares: column((s) => 1 / golden.mask[s].reduce((sum, on) => sum + on, 0)),
    sequenceOf: {
      dtype: 'int64',
      shape: [tokens.length, 1],
      data: BigInt64Array.from(tokens, ([s]) => BigInt(kept.indexOf(s))),
    },
    sequenceZeros: { dtype: 'float64', shape: [kept.length, 1], data: new Float64Array(kept.length) },
  });
  return Object.fromEntries(Object.entries(outputs).map(([name, { data }]) => [name, data as Float64Array]));
}

/** A mean over tokens or, where the ratio belongs to the sequence, over sequences (each is given by its first token). */
function meanOf(golden: Case, values: Float64Array): number {
  if (golden.importance_level === 'token') return values.reduce((sum, value) => sum + value, 0) / values.length;
  const tokens = tokensOf(golden.mask);
  const first = golden.mask.map((_, s) => values[tokens.findIndex(([sequence]) => sequence === s)]);
  return first.reduce((sum, value) => sum + value, 0) / first.length;
}

function checkAggregated(found: Record<string, Float64Array>, expected: Aggregated, tokens: [number, number][]): void {
  assertClose(found.loss, [expected.loss], TOLERANCE, 'loss');
  const gradient = tokens.map(([s, t]) => expected.grad_logp[s][t]);
  assertClose(found.gradient, gradient, TOLERANCE, 'gradient');
}

describe('grpo.json', { skip: goldenMissing('grpo.json') }, () => {
  const { cases, accumulation } = goldenFile<Golden>('grpo.json');

  for (const golden of cases) {
    for (const [form, expected] of Object.entries(golden.expected) as ['plain' | 'is_corrected', Expected][]) {
      test(`${golden.name}, ${form} KL`, async () => {
        const klForm = form === 'plain' ? 'plain' : 'corrected';
        const tokens = tokensOf(golden.mask);
        for (const [name, aggregation] of aggregations) {
          const found = await lossOf(golden, optionsOf(golden, klForm), aggregation);
          checkAggregated(found, expected[name], tokens);
          const ratio = tokens.map(([s, t]) => expected.ratio[s][t] ?? expected.ratio[s][0]);
          assertClose(found.ratio, ratio, TOLERANCE, 'ratio');
          const perToken = tokens.map(([s, t]) => expected.per_token_loss[s][t]);
          assertClose(found.tokenLoss, perToken, TOLERANCE, 'per-token loss');
          const [low, high] = [meanOf(golden, found.clippedLow), meanOf(golden, found.clippedHigh)];
          assertClose([low, high], [expected.clip_low, expected.clip_high], TOLERANCE, 'clipped');
          assertClose([low + high], [expected.clip_region], TOLERANCE, 'clipped at all');
        }
        // the divergence is measured also where its coefficient is 0 and the loss leaves it out
        const { kl } = await lossOf(golden, optionsOf(golden, klForm, golden.beta || 1), 'batch-token');
        assertClose(
          kl,
          tokens.map(([s, t]) => expected.per_token_kl[s][t]),
          TOLERANCE,
          'KL',
        );
        const mean = kl.reduce((sum, value) => sum + value, 0) / kl.length;
        assertClose([mean], [expected.mean_kl], TOLERANCE, 'mean KL');
      });
    }
  }

  test('micro-batches whose losses and gradients add up to those of the whole batch', async () => {
    const golden = cases.find(({ name }) => name === accumulation.of)!;
    const options = optionsOf(golden, accumulation.kl === 'plain' ? 'plain' : 'corrected');
    for (const [name, aggregation] of aggregations) {
      let sum = 0;
      for (const [i, sequences] of accumulation.micro_batches.entries()) {
        const found = await lossOf(golden, options, aggregation, sequences);
        const local = tokensOf(golden.mask, sequences).map(([s, t]): [number, number] => [sequences.indexOf(s), t]);
        checkAggregated(found, accumulation.expected[i][name], local);
        sum += found.loss[0];
      }
      assertClose([sum], [golden.expected[accumulation.kl]![name].loss], TOLERANCE, 'sum of the micro-batches');
    }
  });

  test('with one update a batch the old policy is the current one: ratio 1, the same gradient', async () => {
    for (const golden of cases.filter(({ logp, old_logp }) => JSON.stringify(logp) === JSON.stringify(old_logp))) {
      const given = await lossOf(golden, optionsOf(golden, 'plain'), 'batch-token');
      const current = await lossOf(golden, { ...optionsOf(golden, 'plain'), old: 'current' }, 'batch-token');
      assert.deepEqual(
        current.ratio,
        given.ratio.map(() => 1),
      );
      assertClose(current.loss, given.loss, TOLERANCE, 'loss');
      assertClose(current.gradient, given.gradient, TOLERANCE, 'gradient');
    }
  });
});
