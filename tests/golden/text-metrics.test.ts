/**
 * text_metrics.json: exact match and F1 as SQuAD and HotpotQA score them, and mathematical equivalence against a human's
 * verdict (math-verify itself agrees with it on 57 of the 60 pairs).
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  exactMatch,
  f1Hotpot,
  f1Squad,
  f1Squad2,
  normalizeAnswer,
} from '../../src-main/engine/tasks/answer-overlap.ts';
import { mathEquivalent } from '../../src-main/engine/tasks/math-equivalence.ts';
import { goldenFile, goldenMissing } from './fixtures.ts';

type QaPair = {
  prediction: string;
  golds: string[];
  normalized_prediction: string;
  normalized_golds: string[];
  em: 0 | 1;
  f1_squad: number;
  f1_squad2: number;
  f1_hotpot: number;
  precision_hotpot: number;
  recall_hotpot: number;
};
type MathPair = { gold: string; prediction: string; by_hand: boolean; math_verify: boolean };

/** Pairs (gold, prediction) on which we and the human differ: none today, and none may join. */
const disagreements = new Set<string>();

const file = 'text_metrics.json';
const { qa, math } = goldenMissing(file) ? { qa: [], math: [] } : goldenFile<{ qa: QaPair[]; math: MathPair[] }>(file);

describe('answers scored as SQuAD and HotpotQA do', { skip: goldenMissing(file) }, () => {
  for (const [i, pair] of qa.entries()) {
    test(`${i}: ${JSON.stringify(pair.prediction)} against ${JSON.stringify(pair.golds)}`, () => {
      assert.equal(normalizeAnswer(pair.prediction), pair.normalized_prediction);
      assert.deepEqual(pair.golds.map(normalizeAnswer), pair.normalized_golds);
      assert.equal(exactMatch(pair.prediction, pair.golds), pair.em === 1);
      assertNear(f1Squad(pair.prediction, pair.golds), pair.f1_squad);
      assertNear(f1Squad2(pair.prediction, pair.golds), pair.f1_squad2);
      const hotpot = f1Hotpot(pair.prediction, pair.golds);
      assertNear(hotpot.f1, pair.f1_hotpot);
      assertNear(hotpot.precision, pair.precision_hotpot);
      assertNear(hotpot.recall, pair.recall_hotpot);
    });
  }
});

describe('mathematical answers judged as a human does', { skip: goldenMissing(file) }, () => {
  for (const pair of math) {
    const name = `${pair.gold} and ${pair.prediction} are ${pair.by_hand ? 'the same' : 'different'}`;
    test(name, { skip: disagreements.has(`${pair.gold}\n${pair.prediction}`) && 'we differ here' }, async () => {
      assert.equal(await mathEquivalent(pair.prediction, pair.gold), pair.by_hand);
      assert.equal(await mathEquivalent(pair.gold, pair.prediction), pair.by_hand, 'sides exchanged');
    });
  }
});

function assertNear(value: number, expected: number): void {
  assert.ok(Math.abs(value - expected) <= 1e-12, `${value} is not ${expected}`);
}
