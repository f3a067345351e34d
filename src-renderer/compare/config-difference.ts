/** Where configurations differ: one row a setting, one column a run. Pure. */
export type Difference = { setting: string; values: string[] };

/** A tool that is not priced costs 1; those of an MCP server have a price of their own. */
const standsFor = (setting: string) => (/^prices\.(?!mcp:)/.test(setting) ? '1' : '–');

/** Settings (dotted paths) whose values are not equal in all records, in the order of the first. */
export function configDifference(configs: readonly object[]): Difference[] {
  const flat = configs.map((config) => flatSettings(config));
  const names = [...new Set(flat.flatMap((entries) => [...entries.keys()]))];
  return names
    .map((setting) => ({ setting, values: flat.map((entries) => entries.get(setting) ?? standsFor(setting)) }))
    .filter(({ values }) => new Set(values).size > 1);
}

/** Every setting by its dotted path, as text. */
export function flatSettings(value: object, path = '', into = new Map<string, string>()): Map<string, string> {
  for (const [name, entry] of Object.entries(value) as [string, unknown][]) {
    const here = path === '' ? name : `${path}.${name}`;
    if (typeof entry === 'object' && entry !== null && !Array.isArray(entry)) flatSettings(entry, here, into);
    else into.set(here, Array.isArray(entry) ? entry.join(', ') : String(entry));
  }
  return into;
}
