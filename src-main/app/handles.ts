/**
 * Files and folders as the window knows them: `handle:ID/NAME`. Only this process knows the paths; a handle that it did
 * not give out opens nothing. What goes to the engine has paths; in what comes back, fields that hold paths have handles
 * again, and sentences name files without the folders above them. What a model or a user wrote is never touched.
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
  /** every path in the fields that hold paths as a handle, and none in the sentences that are for people */
  closed<T>(value: T): T;
};

/** Folders whose names say more than a user wants to read again: home is `~`, of the others the last name is left. */
export type KnownFolders = { home: string; folders: () => string[] };

/** Fields that hold a path, or a name that is none. */
const pathFields = new Set(['model', 'tasks', 'corpus', 'report', 'folder', 'file', 'path', 'to', 'handle']);
/** Fields of sentences that the engine or this process made: what went wrong, where, and what to do. */
const sentences = new Set(['message', 'hint', 'problem', 'errors', 'reason']);
/** Fields with words of a model, a user, a server or the window itself (`kept`): paths in them are theirs, and stay text. */
const foreign = new Set(['kept', 'arguments', 'messages', 'parameters', 'output', 'answer', 'prompt']);

/** A path from the root in a sentence; one of a single name (`/search`) is none. Quotes, brackets and spaces end it. */
const fromTheRoot =
  /(?<![\p{L}\p{N}_.~/\\:-])(?:file:\/\/)?(?:[A-Za-z]:[\\/]|\\\\|\/(?=[^\s/]+\/))[^\s"'`<>|;,()[\]{}]+/gu;

export function makeHandles({ home, folders }: KnownFolders = { home: '', folders: () => [] }): Handles {
  const byPath = new Map<string, Handle>();
  const byHandle = new Map<string, string>();

  /** Known paths go first: they may hold spaces, which end a path in a sentence. */
  function withoutFolders(text: string): string {
    if (!/[\\/]/.test(text)) return text;
    const known = [...byPath.keys(), ...folders()].filter((path) => path.length > 1 && text.includes(path));
    known.sort((a, b) => b.length - a.length);
    let told = known.reduce((rest, path) => rest.replaceAll(path, basename(path)), text);
    if (home.length > 1) told = told.replaceAll(home, '~');
    return told.replace(fromTheRoot, (path) => path.split(/[\\/]+/).findLast((name) => name !== '') ?? path);
  }

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
    opened: (value) =>
      inFields(value, (text, field) =>
        pathFields.has(field) && text.startsWith('handle:') ? handles.path(text) : text,
      ),
    closed: (value) =>
      inFields(value, (text, field) => {
        if (pathFields.has(field) && isAbsolute(text)) return handles.give(text);
        return sentences.has(field) ? withoutFolders(text) : text;
      }),
  };
  return handles;
}

/** A plain value with texts changed by the field they stand in, those of lists too. Parts without a change stay the same. */
function inFields<T>(value: T, change: (text: string, field: string) => string): T {
  const visit = (item: unknown, field: string): unknown => {
    if (typeof item === 'string') return change(item, field);
    if (typeof item !== 'object' || item === null || foreign.has(field) || ArrayBuffer.isView(item)) return item;
    let copy: Record<string, unknown> | undefined;
    const list = Array.isArray(item);
    // lists of numbers are long and hold no text
    if (list && typeof item[0] === 'number') return item;
    for (const [key, entry] of Object.entries(item)) {
      const next = visit(entry, list ? field : key);
      if (next === entry) continue;
      copy ??= (list ? [...item] : { ...item }) as Record<string, unknown>;
      copy[key] = next;
    }
    return copy ?? item;
  };
  return visit(value, '') as T;
}
