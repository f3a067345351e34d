/**
 * A settings file as the form of a new run takes it in: all settings with defaults filled in, or every complaint with its
 * line. The model and the tasks may be missing, which a form has already. Not here: what else a dropped file can be.
 */
import { existsSync } from 'node:fs';
import { dirname, isAbsolute, resolve } from 'node:path';
import { ParetuneError } from '../contract/errors.ts';
import { type RunConfig, runConfigSchema } from '../contract/run-config.ts';
import {
  type Complaint,
  isTable,
  type RawSettings,
  resolvePaths,
  reviewSettings,
  runSettings,
  shown,
} from './run-settings.ts';
import { settingPaths } from './setting-tree.ts';
import { parseSettings, settingsText } from './settings-file.ts';

/** Model and tasks are there where the file names them. */
export type FormConfig = Omit<RunConfig, 'model' | 'tasks'> & Partial<Pick<RunConfig, 'model' | 'tasks'>>;

/** `line` counts from 1; null where no line is to blame. One of `config` and `complaints` is empty. */
export type FormSettings = {
  config: FormConfig | null;
  /** dotted paths of what the file sets */
  given: string[];
  complaints: { line: number | null; message: string }[];
};

const schema = runConfigSchema.partial({ model: true, tasks: true });
const mostComplaints = 50;

/** Names that a file may use besides paths. */
export type KnownNames = { models: readonly string[]; tasks: readonly string[] };

/** Reads a settings file. Whatever is wrong inside it is a complaint; error `not-found` where it cannot be read. */
export function readFormSettings(file: string, known: KnownNames): FormSettings {
  const path = resolve(file);
  const refused = (complaints: FormSettings['complaints']): FormSettings => ({
    config: null,
    given: [],
    complaints: complaints.slice(0, mostComplaints),
  });
  try {
    const { value, lineOf } = parseSettings(settingsText(path), path);
    if (value === null || value === undefined) return refused([{ line: null, message: 'the file holds no setting' }]);
    if (!isTable(value)) {
      return refused([{ line: 1, message: `the file holds ${shown(value)}; allowed: a table of settings` }]);
    }
    const review = reviewSettings(schema, resolvePaths(value, dirname(path)));
    if ('complaints' in review) {
      return refused(review.complaints.map(({ path, message }) => ({ line: lineOf(path), message })));
    }
    const absent = absentNames(review.checked as FormConfig, value, known);
    if (absent.length > 0) return refused(absent.map(({ path, message }) => ({ line: lineOf(path), message })));
    const given = settingPaths(runSettings).filter((name) => isGiven(value, name.replace(/\.\*$/, '').split('.')));
    return { config: review.checked as FormConfig, given, complaints: [] };
  } catch (error) {
    if (!(error instanceof ParetuneError) || error.code !== 'bad-file') throw error;
    // the parser says the line in its sentence, and draws the place below it
    const [first] = error.message.split('\n');
    const line = / at line (\d+)/.exec(first)?.[1];
    return refused([{ line: line ? Number(line) : null, message: first.replace(/ at line \d+, column \d+:?$/, '') }]);
  }
}

/** Complaints about models, tasks and files that are not there: a form could show them, but no run could start. */
function absentNames(
  { model, tasks = [], taskOptions }: FormConfig,
  asWritten: RawSettings,
  known: KnownNames,
): Complaint[] {
  const complaints: Complaint[] = [];
  const check = (name: string, path: PropertyKey[], names: readonly string[], what: string) => {
    // an address of another machine is not looked at: on Windows that alone would log in there
    const here = isAbsolute(name) && !/^[\\/]{2}/.test(name);
    if (name === '' || names.includes(name) || (here && existsSync(name))) return;
    const written = path.reduce<unknown>((at, key) => (at as Record<PropertyKey, unknown>)[key], asWritten);
    const allowed = `allowed: ${[...names, what].join(', ')}`;
    complaints.push({ path, message: `${path.join('.')}: found ${shown(written)}, which is not there; ${allowed}` });
  };
  if (model !== undefined) check(model, ['model'], known.models, 'the folder of a model, from the folder of this file');
  for (const [i, task] of tasks.entries())
    check(task, ['tasks', i], known.tasks, 'a task file, from the folder of this file');
  for (const key of ['corpus', 'report'] as const)
    check(taskOptions[key], ['taskOptions', key], [], 'a file, from the folder of this file');
  return complaints;
}

function isGiven(value: unknown, [key, ...rest]: string[]): boolean {
  if (key === undefined) return true;
  return isTable(value) && Object.hasOwn(value, key) && isGiven(value[key], rest);
}

/** Columns that rows of a task file have and settings have not. */
const columns = /^(prompt|messages|question|answers?|Body|Question|Answer)$/;

/**
 * Whether a file is one of settings rather than of tasks: every YAML file is; of JSON files those that hold one table with
 * a setting of a run in it, also where a comma is wrong. Error `not-found` where it cannot be read.
 */
export function isSettingsFile(file: string): boolean {
  if (/\.ya?ml$/i.test(file)) return true;
  let text: string;
  try {
    text = settingsText(file);
  } catch (error) {
    // too long or no text: whoever reads tasks says so
    if (error instanceof ParetuneError && error.code === 'bad-file') return false;
    throw error;
  }
  const names = Object.keys(runSettings.properties ?? {});
  const table = tryJson(text) ?? tryJson(text.trimStart().split('\n', 1)[0]);
  if (table !== undefined) {
    return (
      isTable(table) &&
      Object.keys(table).some((key) => names.includes(key)) &&
      !Object.keys(table).some((key) => columns.test(key))
    );
  }
  const [, first = ''] = /^\ufeff?\s*\{\s*"([^"]{1,40})"\s*:/.exec(text) ?? [];
  return names.includes(first);
}

function tryJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
