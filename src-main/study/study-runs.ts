/**
 * From a study to its runs, in the order in which they are worth having: block after block, within a block seed after seed,
 * so that at any moment what is there can be compared in pairs. The same run wanted by two blocks is one run. Pure but for
 * the hash.
 */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import { ParetuneError } from '../contract/errors.ts';
import { type RunConfig, readsWeights, runConfigSchema } from '../contract/run-config.ts';
import { startMethod, type Study, type StudyRun, studySchema } from '../contract/study.ts';
import { makeMethod } from '../engine/advantage/methods.ts';

type Table = { [key: string]: unknown };

/** Checks a study as a whole: its shape, every name that it mentions, and the settings of every run. Error: `config`. */
export function checkStudy(value: unknown): Study {
  const { success, data, error } = studySchema.safeParse(value);
  if (!success) throw fault(z.prettifyError(error));
  const known = (kind: string, table: object, names: readonly string[]) => {
    const unknown = names.find((name) => !Object.hasOwn(table, name));
    if (unknown !== undefined)
      throw fault(`there is no ${kind} ${unknown}; there are ${Object.keys(table).join(', ')}`);
  };
  if (Object.hasOwn(data.methods, startMethod)) throw fault(`a method cannot be called ${startMethod}`);
  const variants = { default: {}, ...data.variants };
  const methods = { [startMethod]: {}, ...data.methods };
  for (const block of data.blocks) {
    known('cell', data.cells, block.cells);
    known('method', data.methods, block.methods);
    known('variant', variants, block.variants);
  }
  for (const test of data.tests) {
    known('cell', data.cells, test.cells);
    known('method', methods, [test.a, test.b]);
    known('variant', variants, [test.variant]);
    known('question', data.questions, [test.question]);
  }
  known('method', data.methods, [data.collapse.of]);
  studyRuns(data);
  return data;
}

/** Every run of a study once, in order. */
export function studyRuns(study: Study): StudyRun[] {
  const runs = new Map<string, StudyRun>();
  for (const block of study.blocks)
    for (const seed of block.seeds)
      for (const cell of block.cells)
        for (const variant of block.variants)
          for (const method of block.methods) {
            const config = configOf(study, { cell, variant, method, seed });
            const configHash = hashOf(config);
            const same = runs.get(configHash);
            if (same === undefined) {
              runs.set(configHash, { block: block.name, cell, method, variant, seed, config, configHash });
            } else if (same.cell !== cell || same.method !== method || same.variant !== variant) {
              const names = [same, { cell, method, variant }].map((run) =>
                [run.cell, run.method, run.variant].join(', '),
              );
              throw fault(`${names.join(' and ')} are the same run under two names`);
            }
          }
  return [...runs.values()];
}

/** The configuration of one run: base, cell, variant, method, seed, each on top of what came before. */
export function configOf(
  study: Study,
  { cell, variant, method, seed }: Pick<StudyRun, 'cell' | 'variant' | 'method' | 'seed'>,
): RunConfig {
  const layers = [study.base, study.cells[cell], study.variants[variant] ?? {}, study.methods[method], { seed }];
  const settings = layers.reduce<Table>(onTop, {});
  const where = `${cell}, ${method}, ${variant}`;
  const config = parsed(settings, where);
  const varied = study.variants[variant]?.weights !== undefined;
  const used = varied && !readsWeights(config) ? parsed({ ...settings, weights: undefined }, where) : config;
  try {
    makeMethod(used);
  } catch (error) {
    throw fault(`${where}: ${(error as Error).message}`);
  }
  return used;
}

/** Defaults that changed since the first shards were written, as they were. */
const firstDefaults = { method: 'paretopo' };

/**
 * sha256 of a configuration, whatever the order of its keys. Only what is not the default counts: a setting that is new in a
 * later version, at its default, is the same run. A default that changes goes to `firstDefaults`, or shards lose their names.
 */
export function hashOf(config: RunConfig): string {
  const { model, tasks } = config;
  const own = differing(config, runConfigSchema.parse({ model, tasks, ...firstDefaults }));
  return createHash('sha256')
    .update(JSON.stringify({ model, tasks, ...own }))
    .digest('hex');
}

/** The values of a table, keys sorted, that are not those of the other; tables within are treated alike. */
function differing(table: Table, other: Table): Table {
  const entries = Object.keys(table)
    .sort()
    .map((key): [string, unknown] => {
      const [value, known] = [table[key], other[key]];
      return [key, isTable(value) ? differing(value, isTable(known) ? known : {}) : value];
    })
    .filter(([key, value]) => {
      if (isTable(value)) return Object.keys(value).length > 0;
      return JSON.stringify(value) !== JSON.stringify(other[key]);
    });
  return Object.fromEntries(entries);
}

function parsed(settings: Table, where: string): RunConfig {
  const { success, data, error } = runConfigSchema.safeParse(settings);
  if (success) return data;
  throw fault(`${where}: ${z.prettifyError(error)}`);
}

function onTop(below: Table, above: Table): Table {
  const merged = Object.entries(above).map(([key, value]) => {
    const old = Object.hasOwn(below, key) ? below[key] : undefined;
    return [key, isTable(value) && isTable(old) ? onTop(old, value) : value];
  });
  return { ...below, ...Object.fromEntries(merged) };
}

function fault(what: string): ParetuneError {
  return new ParetuneError('config', `The study does not fit: ${what}`, {
    hint: 'studies/tiny.yaml is a small one that does; docs/study-plan.md explains the parts.',
  });
}

function isTable(value: unknown): value is Table {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
