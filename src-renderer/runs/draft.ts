/**
 * The form of a new run: its fields as typed, the configuration they make, and what is wrong by field. Pure. A field
 * holds text until it is read, so that what a person typed is never changed under their hands.
 */
import type { CallPayload } from '../../src-main/contract/window-api.ts';
import { windowConfigSchema } from '../../src-main/contract/window-api.ts';
import { type MethodName, paretopoOptions, type RunConfig, readsWeights } from '../../src-main/contract/run-config.ts';

export type WindowConfig = CallPayload<'tune'>['config'];

/** What "Tune the starter agent" runs. */
export const starterConfig: WindowConfig = {
  model: 'starter:over-user',
  tasks: ['arithmetic', 'multi-hop'],
  steps: 60,
  evaluation: { everySteps: 5, greedy: false },
  checkpoint: { everySteps: 5, keepLast: 20 },
};

export type Draft = {
  name: string;
  model: string;
  tasks: string[];
  tools: string[];
  method: string;
  objectives: string[];
  /** as typed, by objective */
  weights: Record<string, string>;
  prices: Record<string, string>;
  numbers: Record<NumberField, string>;
  parameters: 'full' | 'lora';
  /** everything the form has no field for, kept as it came */
  rest: Partial<RunConfig>;
};

export const numberFields = [
  'steps',
  'problemsPerStep',
  'groupSize',
  'learningRate',
  'everySteps',
  'selectionProblems',
  'reportProblems',
  'seed',
  'calls',
  'tokens',
  'alpha',
] as const;
export type NumberField = (typeof numberFields)[number];

/** The form that shows a configuration; of none, that of the starter agent. */
export function draftOf(from: Partial<RunConfig> | null): Draft {
  const config = windowConfigSchema.parse({ ...starterConfig, ...from }) as RunConfig;
  const { objectives } = config;
  const weights = readsWeights(config) ? config.weights : [];
  return {
    name: '',
    model: config.model,
    tasks: config.tasks,
    tools: config.tools,
    method: config.method,
    objectives,
    weights: { success: '0.6', tool: '0.4', length: '0.2', ...Object.fromEntries(weights.map((weight, i) => [objectives[i], String(weight)])) },
    prices: Object.fromEntries(Object.entries(config.prices).map(([tool, price]) => [tool, String(price)])),
    numbers: {
      steps: String(config.steps),
      problemsPerStep: String(config.problemsPerStep),
      groupSize: String(config.groupSize),
      learningRate: String(config.train.learningRate),
      everySteps: String(config.evaluation.everySteps),
      selectionProblems: String(config.selectionProblems),
      reportProblems: String(config.reportProblems),
      seed: String(config.seed),
      calls: String(config.limits.calls),
      tokens: String(config.limits.tokens),
      alpha: String(config.alpha),
    },
    parameters: config.train.parameters,
    rest: config,
  };
}

/** The definitions that its tools were taken with: settings of a run bring them along, and they hold for the tools that are still chosen. */
export function pinsOf({ tools, rest }: Draft): Record<string, string> {
  return Object.fromEntries(Object.entries(rest.toolDefinitions ?? {}).filter(([tool]) => tools.includes(tool)));
}

/** A tool chosen or taken out. One that was taken out and comes back is the one approved now: its pin is gone. */
export function withTool(draft: Draft, tool: string): Draft {
  if (!draft.tools.includes(tool)) return { ...draft, tools: [...draft.tools, tool] };
  const { [tool]: _, ...toolDefinitions } = draft.rest.toolDefinitions ?? {};
  return { ...draft, tools: draft.tools.filter((other) => other !== tool), rest: { ...draft.rest, toolDefinitions } };
}

/** Whether its method reads the weights; those typed are kept for one that does. */
export function weighs(draft: Draft): boolean {
  return readsWeights({ method: draft.method as MethodName, paretopo: paretopoOf(draft) });
}

/** The options that its settings came with, for the method that they came for. */
function paretopoOf({ method, rest }: Draft): RunConfig['paretopo'] {
  return (method === rest.method && rest.paretopo) || paretopoOptions.parse({});
}

/** The configuration of a draft, or what is wrong with it: field -> message. */
export function configOf(draft: Draft): { config: WindowConfig; errors: null } | { config: null; errors: Record<string, string> } {
  const errors: Record<string, string> = {};
  const number = (field: string, text: string): number => {
    const value = Number(text.trim().replace(',', '.'));
    if (text.trim() === '' || !Number.isFinite(value)) errors[field] = `${JSON.stringify(text)} is not a number.`;
    return value;
  };
  const n = Object.fromEntries(numberFields.map((field) => [field, number(field, draft.numbers[field])])) as Record<NumberField, number>;
  const prices = Object.fromEntries(
    Object.entries(draft.prices).map(([tool, text]) => [tool, number(`prices.${tool}`, text)]),
  );
  const weights = weighs(draft)
    ? draft.objectives.map((name) => number(`weights.${name}`, draft.weights[name] ?? '0'))
    : undefined;
  if (weights && !(weights.reduce((sum, w) => sum + w, 0) > 0)) errors.weights ??= 'At least one weight must be above 0.';
  const parsed = windowConfigSchema.safeParse({
    ...draft.rest,
    model: draft.model,
    tasks: draft.tasks,
    tools: draft.tools,
    toolDefinitions: pinsOf(draft),
    method: draft.method,
    paretopo: paretopoOf(draft),
    objectives: draft.objectives,
    weights,
    prices,
    alpha: n.alpha,
    steps: n.steps,
    problemsPerStep: n.problemsPerStep,
    groupSize: n.groupSize,
    selectionProblems: n.selectionProblems,
    reportProblems: n.reportProblems,
    seed: n.seed,
    limits: { ...draft.rest.limits, calls: n.calls, tokens: n.tokens },
    train: { ...draft.rest.train, learningRate: n.learningRate, parameters: draft.parameters },
    evaluation: { ...draft.rest.evaluation, everySteps: n.everySteps },
    checkpoint: { keepLast: 20, ...draft.rest.checkpoint, everySteps: n.everySteps },
  });
  if (!parsed.success) {
    const last: Record<string, string> = { 'train.learningRate': 'learningRate', 'evaluation.everySteps': 'everySteps', 'checkpoint.everySteps': 'everySteps', 'limits.calls': 'calls', 'limits.tokens': 'tokens' };
    for (const { path, message } of parsed.error.issues) {
      const joined = path.join('.');
      const field = last[joined] ?? (path[0] === 'prices' ? joined : path[0] === 'weights' && path.length > 1 ? `weights.${draft.objectives[Number(path[1])]}` : String(path[0]));
      errors[field] ??= `${message}.`;
    }
  }
  if (Object.keys(errors).length > 0 || !parsed.success) return { config: null, errors };
  return { config: parsed.data, errors: null };
}

/** Whether the form has a field for the setting of this dotted name. */
export function fieldOf(setting: string): boolean {
  const direct = ['model', 'tasks', 'tools', 'method', 'objectives', 'weights', 'prices.*', 'train.parameters'];
  return direct.includes(setting) || numberFields.some((field) => field === setting || setting.endsWith(`.${field}`) && within.has(setting));
}
/** Settings of a table whose field is called by their last name. */
const within = new Set(['train.learningRate', 'evaluation.everySteps', 'limits.calls', 'limits.tokens']);

/**
 * The draft that a form begins with: settings of a run or a file as they were, with the model and the tasks that were there
 * where they name none; a model or tasks alone go on top of what was typed.
 */
export function draftOnto(stored: Draft | null, from: Partial<RunConfig> | null): Draft {
  const part = Object.keys(from ?? {}).every((name) => name === 'model' || name === 'tasks');
  if (!part) return draftOf({ ...(stored && { model: stored.model, tasks: stored.tasks }), ...from });
  return { ...(stored ?? draftOf(null)), ...from } as Draft;
}

/** A draft out of storage, or null where it is none (another version, damaged). */
export function storedDraft(text: string | null): Draft | null {
  if (text === null) return null;
  try {
    const value = JSON.parse(text) as Draft;
    configOf(value); // throws where a part is missing
    // what a method without weights does not read is there all the same
    const parts: unknown[] = [value.name, value.model, value.weights?.success];
    return parts.every((part) => typeof part === 'string') ? value : null;
  } catch {
    return null;
  }
}
