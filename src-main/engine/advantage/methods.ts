/**
 * From a run's configuration to its method. A setting that the chosen method would not read is an error here: a run that
 * says `beta: 0.5` and trains without any beta would be a lie in the log.
 */
import { ParetuneError } from '../../contract/errors.ts';
import {
  type ParetopoOptions,
  paretopoOptions,
  type RunConfig,
  readsWeights,
  runConfigSchema,
} from '../../contract/run-config.ts';
import { dynamicWeights } from './dynamic-weights.ts';
import { ffp } from './ffp.ts';
import { gdpo } from './gdpo.ts';
import { gradedOnly } from './graded-only.ts';
import { grpo } from './grpo.ts';
import { hvg } from './hvg.ts';
import type { AdvantageMethod } from './method.ts';
import { moGrpo } from './mo-grpo.ts';
import { otc } from './otc.ts';
import { paretopo, printedOptions } from './paretopo.ts';
import { staticWeights } from './static-weights.ts';

type MethodSettings = Pick<RunConfig, 'method' | 'paretopo' | 'weights' | 'objectives'>;
type OptionName = keyof ParetopoOptions;

const defaults = paretopoOptions.parse({});
const defaultWeights = runConfigSchema.shape.weights.parse(undefined);
const optionNames = Object.keys(defaults) as OptionName[];

/**
 * The method of a run. Throws a ParetuneError `config` that names the setting when one has no effect on it.
 * Trajectories without a grade are left out: advantage 0, rank 0.
 */
export function makeMethod(config: MethodSettings): AdvantageMethod {
  refuseIdleOptions(config);
  objectiveWeights(config);
  return gradedOnly(choose(config));
}

/** [M] objective weights with sum 1, as methods read them; equal ones for a method that reads none. Throws as makeMethod does. */
export function objectiveWeights(settings: MethodSettings): number[] {
  const { method, objectives, weights } = settings;
  const seen = `weights is [${weights.join(', ')}]`;
  if (!readsWeights(settings)) {
    if (!sameNumbers(weights, defaultWeights)) {
      throw new ParetuneError('config', `${seen}, but the method ${method} does not weigh the objectives.`, {
        hint: 'Remove weights, or choose a method that weighs: static, paretopo, paretopo-printed, ffp, gdpo, dynamic-weights.',
      });
    }
    return objectives.map(() => 1 / objectives.length);
  }
  const sum = weights.reduce((total, weight) => total + weight, 0);
  if (weights.length !== objectives.length || !(sum > 0)) {
    throw new ParetuneError('config', `${seen}, but the objectives are ${objectives.join(', ')}.`, {
      hint: 'Give one weight of at least 0 for each objective, not all of them 0.',
    });
  }
  if (method === 'ffp' && weights[0] === 0) {
    throw new ParetuneError('config', `${seen}, but the method ffp divides by the weight of success.`, {
      hint: 'Give success, the first objective, a weight above 0.',
    });
  }
  return weights.map((weight) => weight / sum);
}

function choose(config: MethodSettings): AdvantageMethod {
  switch (config.method) {
    case 'grpo':
      return grpo;
    case 'static':
      return staticWeights;
    case 'hvg':
      return hvg;
    case 'ffp':
      return ffp;
    case 'otc':
      return otc(config.objectives);
    case 'mo-grpo':
      return moGrpo;
    case 'gdpo':
    case 'gdpo-tokens':
      return gdpo(config.method);
    case 'dynamic-weights':
      return dynamicWeights;
    case 'paretopo':
      return paretopo('paretopo', config.paretopo);
    case 'paretopo-printed':
      return paretopo('paretopo-printed', { ...config.paretopo, ...printedOptions });
  }
}

/** Throws for the first ParetoPO option that was changed although nothing would come of it. */
function refuseIdleOptions(config: MethodSettings): void {
  for (const { names, because } of idleOptions(config)) {
    const name = names.find((option) => config.paretopo[option] !== defaults[option]);
    if (name === undefined) continue;
    throw new ParetuneError('config', `paretopo.${name} is ${config.paretopo[name]}, but ${because}.`, {
      hint: `Remove paretopo.${name} (its default is ${defaults[name]}), or change what makes it idle.`,
    });
  }
}

/** Options that have no effect under these settings, and why. */
function idleOptions({ method, paretopo: given }: MethodSettings): { names: readonly OptionName[]; because: string }[] {
  if (method !== 'paretopo' && method !== 'paretopo-printed') {
    return [{ names: optionNames, because: `the method ${method} has no stages` }];
  }
  const printed = method === 'paretopo-printed';
  const options: ParetopoOptions = printed ? { ...given, ...printedOptions } : given;
  const onMeans = options.archive === 'mean-vector';
  const cancels = options.factor === 'before-normalization' && (onMeans || options.average === 'round-mean');
  const rules: [idle: boolean, names: readonly OptionName[], because: string][] = [
    [printed, optionNames.filter((name) => given[name] !== options[name]), `${method} has its own, as printed`],
    [options.stage1Fraction === 0, ['gamma', 'factor', 'archive', 'average'], 'stage1Fraction 0 skips stage 1'],
    [options.stage1Fraction === 1, ['beta', 'stage2'], 'stage1Fraction 1 skips stage 2'],
    [options.gamma === 1, ['gamma'], 'the average then never leaves 0 and r_pareto never leaves 0.5'],
    [onMeans, ['average'], 'the archive mean-vector has one gain a step, and so one average'],
    [
      cancels,
      ['average', 'factor'],
      'a factor that a group shares is divided out by the normalization that follows it',
    ],
  ];
  return rules.filter(([idle]) => idle).map(([, names, because]) => ({ names, because }));
}

function sameNumbers(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((value, i) => value === b[i]);
}
