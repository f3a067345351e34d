/**
 * What the settings of a zod schema are, read from its JSON Schema: paths, allowed values in words, defaults. The schema
 * in contract/ stays the one place that says what a setting is; this only makes it readable.
 */
import { z } from 'zod';
import type { Json } from '../contract/records.ts';

/** The parts of JSON Schema that a settings schema uses. */
export type Setting = {
  type?: 'object' | 'array' | 'string' | 'number' | 'integer' | 'boolean';
  properties?: Record<string, Setting>;
  additionalProperties?: boolean | Setting;
  items?: Setting;
  enum?: Json[];
  minimum?: number;
  maximum?: number;
  minLength?: number;
  default?: Json;
};

/** The root of a schema's settings. */
export function settingTree(schema: z.ZodType): Setting {
  return z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as Setting;
}

/** The setting at a path of keys and indices, or undefined where there is none. */
export function settingAt(root: Setting, path: readonly PropertyKey[]): Setting | undefined {
  let at: Setting | undefined = root;
  for (const key of path) {
    if (at === undefined) return undefined;
    if (at.type === 'array') at = at.items;
    else if (at.properties && Object.hasOwn(at.properties, key)) at = at.properties[key as string];
    else at = typeof at.additionalProperties === 'object' ? at.additionalProperties : undefined;
  }
  return at;
}

/** Every path that holds a value, dotted: `train.lora.rank`; a free-form table as `prices.*`. */
export function settingPaths(root: Setting, prefix = ''): string[] {
  return Object.entries(root.properties ?? {}).flatMap(([key, setting]) => {
    const path = prefix + key;
    if (setting.type !== 'object') return [path];
    return setting.properties ? settingPaths(setting, `${path}.`) : [`${path}.*`];
  });
}

/** Which values a setting takes, in words: `a whole number from 1 to 1024`. */
export function allowedValues(setting: Setting): string {
  if (setting.enum) return `one of ${setting.enum.join(', ')}`;
  switch (setting.type) {
    case 'integer':
    case 'number':
      return `a ${setting.type === 'integer' ? 'whole number' : 'number'}${range(setting)}`;
    case 'boolean':
      return 'true or false';
    case 'array':
      return `a list, each ${setting.items ? allowedValues(setting.items) : 'a value'}`;
    case 'object': {
      const keys = Object.keys(setting.properties ?? {});
      return keys.length > 0 ? `a table with the keys ${keys.join(', ')}` : 'a table of names and values';
    }
    default:
      return 'text';
  }
}

function range({ minimum, maximum }: Setting): string {
  const low = minimum !== undefined && minimum > Number.MIN_SAFE_INTEGER;
  const high = maximum !== undefined && maximum < Number.MAX_SAFE_INTEGER;
  if (low && high) return ` from ${minimum} to ${maximum}`;
  if (low) return ` of at least ${minimum}`;
  return high ? ` of at most ${maximum}` : '';
}
