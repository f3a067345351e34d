import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RunConfig } from '../../src-main/contract/run-config.ts';
import { paretopo } from '../../src-main/engine/advantage/paretopo.ts';
import {
  emptyFrontier,
  type Frontier,
  rPareto,
  type Stage1Options,
  scaledAdvantages,
  scoreRound,
} from '../../src-main/engine/advantage/paretopo-stage1.ts';
import { rankGroup, stage2 } from '../../src-main/engine/advantage/paretopo-stage2.ts';
import { centred, weightedSums } from '../../src-main/engine/advantage/scalars.ts';
import { hypervolume } from '../../src-main/engine/pareto/hypervolume.ts';
import { emptyFewest, fewestOf } from '../../src-main/engine/reward/fewest.ts';
import { efficiency, type RewardRules, scoreGroups } from '../../src-main/engine/reward/score-groups.ts';
import { goldenFile, goldenMissing } from './fixtures.ts';
import { groupOf } from '../advantage/groups.ts';

type ReadingName = 'round_mean' | 'sequential' | 'per_rollout' | 'mean_vector';
type Reading = {
  ema: number[];
  r_pareto: number[];
  scalar_reward: number[];
  advantage_scaled: number[];
  advantage_centred: number[];
};
type Stage2 = {
  rank: number[];
  n_rank: number;
  a_base: number[];
  r_hat: number[];
  advantage: number[];
  advantage_centred: number[];
  advantage_scaled: number[];
};
type Scored = { gain: number[]; weighted: number[]; stage1: Record<ReadingName, Reading> };
type Round<Group = Scored> = {
  groups: Group[];
  archive_before: number[][];
  hypervolume_before: number;
  mean_vector: number[];
  mean_vector_gain: number;
  ema_after: Record<ReadingName, number>;
  archive_after: number[][];
  hypervolume_after: number;
  mean_archive_after: number[][];
};
type Query = {
  query: string;
  n_optimal_before: number | null;
  n_optimal: number | null;
  reward_vectors: number[][];
  stage2: Stage2;
};
type Settings = { name: string; weights: number[]; reference: number[]; gamma: number };
type Golden = {
  r_pareto: { ema: number; value: number }[];
  r_tool: { n_calls: number; n_optimal: number; alpha: number; value: number }[];
  streams: (Settings & {
    alpha: number;
    beta: number;
    no_success: 'zero' | 'one' | 'optimal_is_zero' | 'group_minimum';
    rounds: { query: string; rollouts: { success: boolean; n_calls: number }[] }[][];
    expected: Round<Scored & Query>[];
  })[];
  stage1_vectors: (Settings & { rounds: (Round & { vectors: number[][][] })[] })[];
  stage2_vectors: { name: string; weights: number[]; beta: number; vectors: number[][]; expected: Stage2 }[];
};

const skip = goldenMissing('paretopo.json');
const golden: Golden | null = skip ? null : goldenFile<Golden>('paretopo.json');

const readings: Record<ReadingName, Pick<Stage1Options, 'archive' | 'average'>> = {
  round_mean: { archive: 'global', average: 'round-mean' },
  sequential: { archive: 'global', average: 'sequential' },
  per_rollout: { archive: 'global', average: 'per-rollout' },
  mean_vector: { archive: 'mean-vector', average: 'per-rollout' },
};
const readingNames = Object.keys(readings) as ReadingName[];

function close(actual: readonly number[], expected: readonly number[], what: string) {
  assert.equal(actual.length, expected.length, what);
  actual.forEach((value, i) => {
    const allowed = 1e-11 * Math.max(1, Math.abs(expected[i]));
    assert.ok(Math.abs(value - expected[i]) <= allowed, `${what}, number ${i}: ${value}, expected ${expected[i]}`);
  });
}

/** Runs stage 1 over rounds of reward vectors in all four readings and compares everything on the way. */
function checkStage1({ name, weights, reference, gamma }: Settings, rounds: (Round & { vectors: number[][][] })[]) {
  for (const reading of readingNames) {
    let frontier: Frontier = emptyFrontier;
    rounds.forEach((expected, t) => {
      const what = `${name}, round ${t}, ${reading}`;
      const flat = expected.vectors.flat();
      const onMeans = reading === 'mean_vector';
      if (!onMeans) {
        assert.deepEqual(frontier.archive, expected.archive_before, what);
        close([hypervolume(frontier.archive, reference)], [expected.hypervolume_before], `${what}, hypervolume before`);
      }
      const round = scoreRound(flat, frontier, reference, { gamma, ...readings[reading] });
      let start = 0;
      expected.groups.forEach((group, p) => {
        const rewards = expected.vectors[p];
        const part = (values: number[]) => values.slice(start, start + rewards.length);
        const wanted = group.stage1[reading];
        const factors = part(round.factors);
        close(part(round.gains), onMeans ? rewards.map(() => expected.mean_vector_gain) : group.gain, `${what}, gain`);
        close(part(round.averages), wanted.ema, `${what}, average`);
        close(factors, wanted.r_pareto, `${what}, r_pareto`);
        const weighted = weightedSums(rewards, weights);
        close(weighted, group.weighted, `${what}, w . r`);
        const scalars = weighted.map((value, i) => factors[i] * value);
        close(scalars, wanted.scalar_reward, `${what}, scalar reward`);
        close(centred(scalars), wanted.advantage_centred, `${what}, centred`);
        const advantages = scaledAdvantages(rewards, weights, factors, 'before-normalization');
        close(advantages, wanted.advantage_scaled, `${what}, advantage`);
        start += rewards.length;
      });
      frontier = round.after;
      close([frontier.average], [expected.ema_after[reading]], `${what}, average after`);
      const archive = onMeans ? expected.mean_archive_after : expected.archive_after;
      assert.equal(frontier.archive.length, archive.length, what);
      close(frontier.archive.flat(), archive.flat(), `${what}, archive after`);
      if (!onMeans) {
        close([hypervolume(frontier.archive, reference)], [expected.hypervolume_after], `${what}, hypervolume after`);
      }
    });
  }
}

function checkStage2(rewards: number[][], weights: number[], beta: number, expected: Stage2, what: string) {
  const ranked = rankGroup(rewards, weights, beta);
  assert.deepEqual(ranked.ranks, expected.rank, what);
  assert.equal(ranked.frontCount, expected.n_rank, what);
  assert.deepEqual(
    ranked.ranks.map((rank) => ranked.frontCount - rank + 1),
    expected.a_base,
    what,
  );
  close(ranked.within, expected.r_hat, `${what}, r_hat`);
  const forms = [
    ['raw', expected.advantage],
    ['centred', expected.advantage_centred],
    ['scaled', expected.advantage_scaled],
  ] as const;
  for (const [form, advantages] of forms) {
    const groups = [groupOf('p', rewards)];
    const output = stage2({ step: 0, totalSteps: 1, weights, groups }, { beta, stage2: form });
    close(output.advantages[0], advantages, `${what}, ${form}`);
    assert.deepEqual(output.ranks, [expected.rank], what);
  }
}

test('r_pareto and r_tool have the values of the reference', { skip }, () => {
  for (const { ema, value } of golden!.r_pareto) close([rPareto(ema)], [value], `r_pareto of ${ema}`);
  for (const { n_calls, n_optimal, alpha, value } of golden!.r_tool) {
    close([efficiency(n_calls, n_optimal, alpha)], [value], `r_tool of ${n_calls} calls for ${n_optimal}`);
  }
});

test('whole streams: fewest calls, rewards under all rules for unsolved problems, both stages', { skip }, () => {
  for (const stream of golden!.streams) {
    const { name, weights, beta, alpha, no_success, rounds, expected } = stream;
    const unsolved = no_success.replaceAll('_', '-') as RunConfig['unsolved'];
    let fewest = emptyFewest();
    const vectors: number[][][][] = [];
    rounds.forEach((round, t) => {
      const groups = round.map(({ query, rollouts }) => ({
        problemId: query,
        outcomes: rollouts.map(({ success, n_calls }) => ({ success, cost: n_calls, sampledTokens: 9 })),
      }));
      const references = { referencePrice: 1, referenceLength: 1 };
      const rules: RewardRules = { objectives: ['success', 'tool'], alpha, unsolved, ...references };
      const before = fewest;
      const scored = scoreGroups(groups, before, rules);
      fewest = scored.fewest;
      expected[t].groups.forEach((group, p) => {
        const what = `${name}, round ${t}, ${group.query}`;
        assert.equal(fewestOf(before, 'tool', group.query) ?? null, group.n_optimal_before, what);
        assert.equal(fewestOf(fewest, 'tool', group.query) ?? null, group.n_optimal, what);
        close(scored.groups[p].rewards.flat(), group.reward_vectors.flat(), `${what}, rewards`);
        checkStage2(scored.groups[p].rewards, weights, beta, group.stage2, what);
      });
      vectors.push(scored.groups.map(({ rewards }) => rewards));
    });
    const scoredRounds = expected.map((round, t) => ({ ...round, vectors: vectors[t] }));
    checkStage1(stream, scoredRounds);
    if (stream.reference.every((value) => value === 0)) checkMethod(stream, scoredRounds);
  }
});

test('stage 1 on arbitrary vectors in 2, 3 and 4 objectives', { skip }, () => {
  for (const stream of golden!.stage1_vectors) {
    checkStage1(stream, stream.rounds);
    if (stream.reference.every((value) => value === 0)) checkMethod(stream, stream.rounds);
  }
});

test('stage 2 on arbitrary vectors in 2, 3 and 4 objectives', { skip }, () => {
  for (const { name, weights, beta, vectors, expected } of golden!.stage2_vectors) {
    checkStage2(vectors, weights, beta, expected, `${name}, beta ${beta}`);
  }
});

/** The method as the training loop calls it, its state through JSON after each step, against the same numbers. */
function checkMethod({ name, weights, gamma }: Settings, rounds: (Round & { vectors: number[][][] })[]) {
  for (const reading of readingNames) {
    const options = { gamma, factor: 'before-normalization', ...readings[reading] } as const;
    const method = paretopo('test', { ...options, stage1Fraction: 1, beta: 1, stage2: 'raw' });
    let state = method.initialState();
    rounds.forEach(({ vectors, groups }, step) => {
      const input = vectors.map((rewards, p) => groupOf(`${p}`, rewards));
      const output = method.advantages({ step, totalSteps: rounds.length, weights, groups: input }, state);
      groups.forEach((group, p) => {
        const what = `${name}, step ${step}, group ${p}, ${reading} as a method`;
        close(output.advantages[p], group.stage1[reading].advantage_scaled, what);
      });
      state = JSON.parse(JSON.stringify(output.state));
    });
  }
}
