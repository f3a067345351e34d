/**
 * Files and folders as the window knows them: `handle:ID/NAME`. Only this process knows the paths; a handle that it did
 * not give out opens nothing. What goes to the engine has paths, what comes back has handles again.
 */
import { randomUUID } from 'node:crypto';
import { basename, isAbsolute } from 'node:path';
import { ParetuneError } from '../contract/errors.ts';
import type { Handle } from '../contract/window-api.ts';

export type Handles = {
  /** the same handle for the same path, as long as the app runs */
  give(path: string): Handle;
  /** Error `not-found` for one that was never given out (or by an earlier start of the app). */
  path(handle: string): string;
  /** every handle in a payload as its path */
  opened<T>(value: T): T;
  /** every path in the fields that hold paths as a handle */
  closed<T>(value: T): T;
};

/** Fields that hold a path, or a name that is none. What a model or a user wrote lies in other fields. */
const pathFields = new Set(['model', 'tasks', 'corpus', 'report', 'folder', 'file', 'path', 'to', 'handle']);

export function makeHandles(): Handles {
  const byPath = new Map<string, Handle>();
  const byHandle = new Map<string, string>();

  const handles: Handles = {
    give(path) {
      const known = byPath.get(path);
      if (known !== undefined) return known;
      const handle: Handle = `handle:${randomUUID()}/${basename(path).slice(0, 200)}`;
      byPath.set(path, handle);
      byHandle.set(handle, path);
      return handle;
    },
    path(handle) {
      const path = byHandle.get(handle);
      if (path !== undefined) return path;
      throw new ParetuneError('not-found', 'The file or folder is not known any more.', { hint: 'Choose it again.' });
    },
    opened: (value) => inFields(value, (text) => (text.startsWith('handle:') ? handles.path(text) : text)),
    closed: (value) => inFields(value, (text) => (isAbsolute(text) ? handles.give(text) : text)),
  };
  return handles;
}

/** A copy of a plain value in which the texts of path fields are changed, those of lists in them too. */
function inFields<T>(value: T, change: (text: string) => string): T {
  const visit = (item: unknown, field: string): unknown => {
    if (typeof item === 'string') return pathFields.has(field) ? change(item) : item;
    if (Array.isArray(item)) return item.map((entry) => visit(entry, field));
    if (typeof item !== 'object' || item === null) return item;
    return Object.fromEntries(Object.entries(item).map(([key, entry]) => [key, visit(entry, key)]));
  };
  return visit(value, '') as T;
}
