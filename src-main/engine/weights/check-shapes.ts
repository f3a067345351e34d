/** Whether the tensors of a file or folder are those of a model: names and shapes, whatever the format. */
import { ParetuneError } from '../../contract/errors.ts';
import type { ModelConfig } from '../model/model-config.ts';
import { weightSpecs } from '../model/weight-specs.ts';
import { someNames } from './folder-files.ts';

/**
 * Throws `bad-file` where tensors are missing, unknown or misshaped, with up to five names. A tied head may be there too.
 * `described` is what the configuration was read from.
 */
export function checkShapes(
  place: string,
  described: 'config.json' | 'metadata',
  config: ModelConfig,
  shapes: ReadonlyMap<string, readonly number[]>,
): void {
  const fail = (message: string): never => {
    throw new ParetuneError('bad-file', `The weights in ${place} do not fit its ${described}: ${message}.`, {
      hint: `Check that ${described} and the weights belong to the same model.`,
    });
  };
  const expected = new Map(weightSpecs(config).map(({ name, shape }) => [name, shape]));
  const missing = [...expected.keys()].filter((name) => !shapes.has(name));
  if (missing.length > 0) fail(`missing are ${someNames(missing)}`);
  // A tied model may carry a copy of its embedding as the head; whoever reads the weights checks that it is one.
  if (config.tiedEmbeddings) expected.set('lm_head.weight', [config.vocabSize, config.hiddenSize]);
  const unknown = [...shapes.keys()].filter((name) => !expected.has(name));
  if (unknown.length > 0) fail(`unknown are ${someNames(unknown)}`);
  const misshaped = [...shapes].filter(([name, shape]) => String(shape) !== String(expected.get(name)));
  if (misshaped.length > 0) {
    const wrong = misshaped.map(([name, shape]) => `${name} [${shape}] instead of [${expected.get(name)}]`);
    fail(`misshaped are ${someNames(wrong)}`);
  }
}
