/**
 * Run settings from a YAML or JSON file with flags on top, checked as a whole. An unknown key, a wrong type or a value out
 * of range is one `config` error that names the key, the value found and the values allowed; nothing is ignored and
 * nothing is corrected silently. Paths in a file are relative to the file, paths in flags to the current folder.
 */
import { dirname, extname, resolve } from 'node:path';
import { parse } from 'yaml';
import type { z } from 'zod';
import { ParetuneError } from '../contract/errors.ts';
import { type RunConfig, runConfigSchema } from '../contract/run-config.ts';
import { nearestName } from './nearest-name.ts';
import { allowedValues, type Setting, settingAt, settingPaths, settingTree } from './setting-tree.ts';
import { parseSettings, settingsText } from './settings-file.ts';

/** Settings as a user wrote them: nothing filled in, nothing checked. */
export type RawSettings = { [key: string]: unknown };

/** Reads `--config FILE`. The file holds one table; YAML and JSON alike (JSON is YAML). */
export function readSettingsFile(file: string): RawSettings {
  const path = resolve(file);
  const { value } = parseSettings(settingsText(path), path);
  if (value === null || value === undefined) return {};
  if (!isTable(value)) {
    throw new ParetuneError('config', `${path} holds ${shown(value)}; allowed: a table of settings`);
  }
  return resolvePaths(value, dirname(path));
}

/**
 * A copy of settings with the value at a dotted path replaced. `text` is read as the setting's type wants it; for a list,
 * `a,b` and `[a, b]` are the same. Throws for an unknown path.
 */
export function withSetting(settings: RawSettings, path: string, text: string): RawSettings {
  const keys = path.split('.');
  const setting = settingAt(runSettings, keys);
  if (setting === undefined || keys.includes('__proto__')) throw unknownSetting(path);
  const copy = structuredClone(settings);
  let at: RawSettings = copy;
  for (const key of keys.slice(0, -1)) {
    if (!Object.hasOwn(at, key) || !isTable(at[key])) at[key] = {};
    at = at[key] as RawSettings;
  }
  at[keys[keys.length - 1]] = readValue(setting, text);
  return copy;
}

/** The run settings with all defaults filled in. Whether the method reads each of them is the engine's check. */
export function checkRunSettings(settings: RawSettings): RunConfig {
  return checkSettings(runConfigSchema, resolvePaths(settings, process.cwd()));
}

/** Any settings against any schema, all complaints in one error. */
export function checkSettings<Schema extends z.ZodType>(schema: Schema, settings: unknown): z.output<Schema> {
  const result = reviewSettings(schema, settings);
  if ('checked' in result) return result.checked;
  throw new ParetuneError('config', result.complaints.map(({ message }) => message).join('\n'), { hint: listHint });
}

/** What is wrong with one setting: its path of keys and indices, and a sentence that names it and what is allowed. */
export type Complaint = { path: PropertyKey[]; message: string };

/** Settings with all defaults filled in, or every complaint. */
export function reviewSettings<Schema extends z.ZodType>(
  schema: Schema,
  settings: unknown,
): { checked: z.output<Schema> } | { complaints: Complaint[] } {
  const result = schema.safeParse(settings, { reportInput: true });
  if (result.success) return { checked: result.data };
  const tree = settingTree(schema);
  return { complaints: result.error.issues.flatMap((issue) => describeIssue(tree, issue)) };
}

/** All settings with what they allow and their defaults, as a YAML file to start from. */
export function settingsTemplate(): string {
  const lines = ['# Settings of a run. Lines that start with # show the default.'];
  for (const path of settingPaths(runSettings)) {
    if (filledIn.test(path)) continue;
    const keys = path.split('.');
    const indent = '  '.repeat(keys.length - 1);
    for (let depth = 1; depth < keys.length; depth++) {
      const heading = `${'  '.repeat(depth - 1)}${keys[depth - 1]}:`;
      const line = `# ${heading}`;
      if (!lines.includes(line)) lines.push(line);
    }
    const setting = settingAt(runSettings, keys) as Setting;
    const name = keys[keys.length - 1];
    if (name === '*') lines.push(`#${indent} python: 1  # ${allowedValues(setting)}`);
    else if (setting.default === undefined) lines.push(`${indent}${name}:  # required: ${allowedValues(setting)}`);
    else lines.push(`# ${indent}${name}: ${JSON.stringify(setting.default)}  # ${allowedValues(setting)}`);
  }
  return lines.join('\n');
}

/** Every setting of a run. */
export const runSettings = settingTree(runConfigSchema);
/** Part of a run's record that no user writes: it is filled in when the run is made. */
const filledIn = /^toolDefinitions\b/;
const listHint = 'paretune tune --list-settings shows every setting with its default';

function describeIssue(tree: Setting, issue: z.core.$ZodIssue): Complaint[] {
  const path = issue.path.join('.');
  const told = (message: string): Complaint[] => [{ path: issue.path, message }];
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => ({
      path: [...issue.path, key],
      message: unknownSetting(path === '' ? key : `${path}.${key}`, tree).message,
    }));
  }
  const setting = settingAt(tree, issue.path);
  if (issue.input === undefined) {
    return told(`${path} is missing; allowed: ${setting ? allowedValues(setting) : issue.message}`);
  }
  // `custom` issues are the schema's own sentences: they say more than the type does
  const allowed = setting && issue.code !== 'custom' ? allowedValues(setting) : issue.message;
  return told(`${path || 'settings'}: found ${shown(issue.input)}; allowed: ${allowed}`);
}

function unknownSetting(path: string, tree: Setting = runSettings): ParetuneError {
  const parent = path.split('.').slice(0, -1);
  const last = path.slice(parent.join('.').length).replace(/^\./, '');
  const paths = settingPaths(tree).map((known) => known.replace(/\.\*$/, ''));
  const siblings = Object.keys(settingAt(tree, parent)?.properties ?? {});
  const prefix = parent.length > 0 ? `${parent.join('.')}.` : '';
  const sibling = nearestName(last, siblings);
  const elsewhere = paths.find((known) => known.split('.').at(-1)?.toLowerCase() === last.toLowerCase());
  const nearest = sibling ? prefix + sibling : (elsewhere ?? nearestName(path, paths));
  const meant = nearest
    ? `; the nearest is ${nearest}`
    : siblings.length > 0
      ? `; known here: ${siblings.join(', ')}`
      : '';
  return new ParetuneError('config', `unknown setting ${path}${meant}`, { hint: listHint });
}

/** The value that a flag's text stands for. Text stays text, so that a folder called 7 can be named. */
function readValue(setting: Setting, text: string): unknown {
  if (setting.type === 'string') return text;
  if (setting.type === 'array' && !text.trim().startsWith('[')) {
    const items = text.split(',').map((item) => item.trim());
    return items.filter((item) => item !== '').map((item) => readValue(setting.items ?? {}, item));
  }
  try {
    return parse(text, { schema: 'core' });
  } catch {
    return text;
  }
}

/** A copy in which model folders and task files are absolute, relative ones from `base`: a stored run can be resumed from anywhere. */
export function resolvePaths(settings: RawSettings, base: string): RawSettings {
  const result = { ...settings };
  if (typeof result.model === 'string' && !/^(starter|imported):/.test(result.model)) {
    result.model = resolve(base, result.model);
  }
  if (Array.isArray(result.tasks)) {
    result.tasks = result.tasks.map((task) => (typeof task === 'string' && isFile(task) ? resolve(base, task) : task));
  }
  if (isTable(result.taskOptions)) {
    const paths = Object.entries(result.taskOptions);
    result.taskOptions = Object.fromEntries(
      paths.map(([key, path]) => [key, typeof path === 'string' && path !== '' ? resolve(base, path) : path]),
    );
  }
  return result;
}

/** Built-in tasks are bare names; whatever has a separator or an ending is a file. */
function isFile(task: string): boolean {
  return /[\\/]/.test(task) || extname(task) !== '';
}

export function isTable(value: unknown): value is RawSettings {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A value as the user wrote it, cut to a line. */
export function shown(value: unknown): string {
  // JSON has no NaN and no infinity
  const text = typeof value === 'number' ? String(value) : (JSON.stringify(value) ?? String(value));
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}
