/** adamw.json: clipping and AdamW, step by step, against torch.optim.AdamW in float64 and float32. */
import { describe, test } from 'node:test';
import { adamwUpdate, clipFactor, norm2 } from '../../src-main/engine/train/adamw.ts';
import { goldenFile, goldenMissing } from './fixtures.ts';
import { assertClose } from './model-fixture.ts';

/** two tensors, [3, 2] and [4] */
type Tensors = [number[][], number[]];
type Case = {
  name: string;
  dtype: 'float32' | 'float64';
  lr: number;
  beta1: number;
  beta2: number;
  eps: number;
  weight_decay: number;
  max_grad_norm: number | null;
  init: Tensors;
  steps: { grad: Tensors; grad_norm: number | null; param: Tensors; exp_avg: Tensors; exp_avg_sq: Tensors }[];
};

describe('adamw.json', { skip: goldenMissing('adamw.json') }, () => {
  for (const golden of goldenFile<{ cases: Case[] }>('adamw.json').cases) {
    test(golden.name, () => {
      const double = golden.dtype === 'float64';
      const flat = (tensors: Tensors) =>
        double ? Float64Array.from(tensors.flat(2)) : Float32Array.from(tensors.flat(2));
      const tolerance = double ? 1e-14 : 3e-7;
      const parameters = flat(golden.init);
      const state = { m: flat(golden.init).fill(0), v: flat(golden.init).fill(0), updates: 0 };
      for (const [i, step] of golden.steps.entries()) {
        const gradient = flat(step.grad);
        const norm = norm2(gradient);
        if (step.grad_norm !== null) assertClose([norm], [step.grad_norm], tolerance * (1 + norm), 'gradient norm');
        adamwUpdate(parameters, gradient, state, {
          beta1: golden.beta1,
          beta2: golden.beta2,
          epsilon: golden.eps,
          weightDecay: golden.weight_decay,
          learningRate: golden.lr,
          scale: clipFactor(norm, golden.max_grad_norm ?? 0),
          decayed: [[0, parameters.length]],
        });
        assertClose(parameters, flat(step.param), tolerance, `parameters after step ${i + 1}`);
        assertClose(state.m, flat(step.exp_avg), tolerance, `first moments after step ${i + 1}`);
        assertClose(state.v, flat(step.exp_avg_sq), tolerance, `second moments after step ${i + 1}`);
      }
    });
  }
});
