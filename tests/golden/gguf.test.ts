/** Logits of models in GGUF files against llama.cpp's on the same numbers in float32 (scripts/make-gguf-fixtures.py). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { weightSpecs } from '../../src-main/engine/model/weight-specs.ts';
import { makePolicy } from '../../src-main/engine/runtime/policy.ts';
import { openGgufModel } from '../../src-main/engine/weights/gguf-model.ts';
import { expectedOfGguf, floatsOf, ggufFamilies, ggufPath } from '../weights/gguf-fixtures.ts';
import { assertClose, everyPosition, sequenceNumbers } from './model-fixture.ts';

/** llama.cpp takes GELU from a table of 16-bit floats, which alone moves these logits so far; transformers' are 5e-6 away. */
const ROUNDED_GELU = 5e-3;

for (const family of ggufFamilies) {
  test(`a ${family} model in a GGUF file has llama.cpp's logits`, async () => {
    const { prompt, positions, logits } = expectedOfGguf()[family];
    const model = openGgufModel(ggufPath(family));
    const weights = new Map(weightSpecs(model.config).map(({ name }) => [name, model.readWeight(name)]));
    const policy = makePolicy(model.config, weights, null, 0);
    const ours = await sequenceNumbers(policy, [everyPosition(prompt, positions)]);
    assert.ok(Math.max(...floatsOf(logits)) > 5);
    const allowed = model.config.activation === 'gelu' ? ROUNDED_GELU : 1e-4;
    assertClose(ours.logits, floatsOf(logits), allowed, 'a logit');
  });
}
