/**
 * Run settings from a YAML or JSON file with flags on top, checked as a whole. An unknown key, a wrong type or a value out
 * of range is one `config` error that names the key, the value found and the values allowed; nothing is ignored and
 * nothing is corrected silently. Paths in a file are relative to the file, paths in flags to the current folder.
 */
import { readFileSync, statSync } from 'node:fs';
import { dirname, extname, resolve } from 'node:path';
import { parse, parseDocument } from 'yaml';
import type { z } from 'zod';
import { ParetuneError } from '../contract/errors.ts';
import { type RunConfig, runConfigSchema } from '../contract/run-config.ts';
import { nearestName } from './nearest-name.ts';
import { allowedValues, type Setting, settingAt, settingPaths, settingTree } from './setting-tree.ts';

/** Settings as a user wrote them: nothing filled in, nothing checked. */
export type RawSettings = { [key: string]: unknown };

const maxFileBytes = 1_000_000;

/** Reads `--config FILE`. The file holds one table; YAML and JSON alike (JSON is YAML). */
export function readSettingsFile(file: string): RawSettings {
  const path = resolve(file);
  let text: string;
  try {
    if (statSync(path).size > maxFileBytes) {
      throw new ParetuneError('bad-file', `${path} is larger than ${maxFileBytes} bytes, which no settings file is`);
    }
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    if (cause instanceof ParetuneError) throw cause;
    throw new ParetuneError('not-found', `the settings file ${path} cannot be read: ${(cause as Error).message}`, {
      hint: 'paretune tune --list-settings > settings.yaml writes one to start from',
      cause,
    });
  }
  const document = parseDocument(text, { schema: 'core', uniqueKeys: true });
  const [error] = document.errors;
  if (error) throw new ParetuneError('bad-file', `${path} is not valid YAML: ${error.message}`);
  let value: unknown;
  try {
    value = document.toJS({ maxAliasCount: 100 });
  } catch (cause) {
    throw new ParetuneError('bad-file', `${path} cannot be used: ${(cause as Error).message}`, { cause });
  }
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
  const result = schema.safeParse(settings, { reportInput: true });
  if (result.success) return result.data;
  const tree = settingTree(schema);
  const complaints = result.error.issues.flatMap((issue) => describeIssue(tree, issue));
  throw new ParetuneError('config', complaints.join('\n'), { hint: listHint });
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

const runSettings = settingTree(runConfigSchema);
/** Part of a run's record that no user writes: it is filled in when the run is made. */
const filledIn = /^toolDefinitions\b/;
const listHint = 'paretune tune --list-settings shows every setting with its default';

function describeIssue(tree: Setting, issue: z.core.$ZodIssue): string[] {
  const path = issue.path.join('.');
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => unknownSetting(path === '' ? key : `${path}.${key}`, tree).message);
  }
  const setting = settingAt(tree, issue.path);
  if (issue.input === undefined)
    return [`${path} is missing; allowed: ${setting ? allowedValues(setting) : issue.message}`];
  // `custom` issues are the schema's own sentences: they say more than the type does
  const allowed = setting && issue.code !== 'custom' ? allowedValues(setting) : issue.message;
  return [`${path || 'settings'}: found ${shown(issue.input)}; allowed: ${allowed}`];
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

/** Model folders and task files become absolute: a stored run can be resumed from anywhere. */
function resolvePaths(settings: RawSettings, base: string): RawSettings {
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

function isTable(value: unknown): value is RawSettings {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A value as the user wrote it, cut to a line. */
function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}
