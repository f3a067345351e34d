/**
 * What an import fetches from a hub, decided from the hub's list before anything is fetched: the files that a model folder
 * needs or one GGUF file, each with its size and hash. Pickle files are never among them. Names come from a stranger: they
 * are bare file names or the whole list is refused.
 */
import { listFiles, modelInfo } from '@huggingface/hub';
import { z } from 'zod';
import { ParetuneError } from '../contract/errors.ts';
import { type Hub, wholeOf } from './hub-connection.ts';
import { explainHostFailure } from './hub-errors.ts';
import { bareName, checkGgufName, type HubRequest, pickle, refusePickles } from './hub-request.ts';

export type HubFile = {
  /** where it is in the repository, and its bare name */
  path: string;
  name: string;
  bytes: number;
  /** hexadecimal: SHA-256 of the bytes for a large file, git's hash of a blob for a small one */
  hash: { kind: 'sha256' | 'git'; value: string };
};

export type HubPlan = {
  host: string;
  repo: string;
  revision: string;
  /** what the revision was when it was looked up; all files are fetched from this commit */
  commit: string;
  /** as the model's card says, null where it does not */
  licence: string | null;
  /** the small files first */
  files: HubFile[];
  bytes: number;
  /** pickle files of the repository, which are left out */
  pickles: string[];
};

const mostFiles = 20_000;
const mostTextBytes = 200_000_000;
const reserved = /^(con|prn|aux|nul|com\d|lpt\d)(\.|$)/i;
const textFiles = new Set([
  'config.json',
  'generation_config.json',
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'chat_template.jinja',
]);
const indexName = 'model.safetensors.index.json';

const commitId = z.string().regex(/^[0-9a-f]{40}$/);
const infoSchema = z.looseObject({
  sha: commitId,
  cardData: z.looseObject({ license: z.unknown(), license_name: z.unknown() }).partial().nullish(),
});
const entrySchema = z.looseObject({
  type: z.string(),
  path: z.string().min(1).max(1000),
  size: z.int().min(0),
  oid: z.string().optional(),
  lfs: z.looseObject({ oid: z.string(), size: z.int().min(0) }).nullish(),
});
const indexSchema = z.looseObject({ weight_map: z.record(z.string(), z.string()) });
type Entry = z.infer<typeof entrySchema>;

/** Two or three requests. Throws `network`, `not-found`, `bad-file`, or `unsupported` where there is nothing that can be imported. */
export async function lookUp(hub: Hub, request: HubRequest): Promise<HubPlan> {
  try {
    const { repo, revision, file } = request;
    const client = { hubUrl: hub.endpoint, fetch: hub.fetchApi };
    const info = trusted(
      hub,
      infoSchema,
      await modelInfo({ ...client, name: repo, revision, additionalFields: ['sha', 'cardData'] }),
    );
    const folder = file?.includes('/') ? file.slice(0, file.lastIndexOf('/')) : undefined;
    const entries: Entry[] = [];
    for await (const entry of listFiles({ ...client, repo, revision: info.sha, path: folder })) {
      entries.push(checkedEntry(hub, entry));
      if (entries.length > mostFiles) throw odd(hub, `a folder of more than ${mostFiles} files`);
    }
    const present = entries.filter(({ type }) => type === 'file');
    const chosen = file === null ? await chooseFolder(hub, repo, info.sha, present) : [chooseGguf(repo, present, file)];
    const files = chosen.map((entry) => fileOf(hub, entry)).sort((a, b) => a.bytes - b.bytes);
    return {
      host: hub.host,
      repo,
      revision,
      commit: info.sha,
      licence: licenceOf(info.cardData),
      files,
      bytes: files.reduce((sum, { bytes }) => sum + bytes, 0),
      pickles: file === null ? present.map(({ path }) => path).filter((path) => pickle.test(path)) : [],
    };
  } catch (error) {
    hub.signal.throwIfAborted();
    // the client reads the answer itself: what is no JSON is no hub's
    if (error instanceof SyntaxError) throw odd(hub, 'something that is no JSON');
    throw explainHostFailure(error);
  }
}

function odd(hub: Hub, what: string): ParetuneError {
  return new ParetuneError('bad-file', `${hub.host} answers with ${what}; nothing was fetched.`, {
    hint: 'Is HF_ENDPOINT the address of a hub that you trust?',
  });
}

function trusted<T>(hub: Hub, schema: z.ZodType<T>, value: unknown): T {
  const { success, data } = schema.safeParse(value);
  if (success) return data;
  throw odd(hub, 'a description that is not one of a model');
}

/** A name that leads anywhere is the sign of a hostile hub: its whole list is refused. */
function checkedEntry(hub: Hub, value: unknown): Entry {
  const entry = trusted(hub, entrySchema, value);
  const parts = entry.path.split('/');
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are looked for
  if (/[\\\0-\x1f]/.test(entry.path) || /^[A-Za-z]:/.test(entry.path) || parts.some((part) => /^\.{0,2}$/.test(part))) {
    throw odd(hub, `a file named ${JSON.stringify(entry.path.slice(0, 100))}`);
  }
  return entry;
}

/** The files of a model folder, as openModelFolder reads them. */
async function chooseFolder(hub: Hub, repo: string, commit: string, present: readonly Entry[]): Promise<Entry[]> {
  const named = (name: string) => present.find(({ path }) => path === name);
  const names = present.map(({ path }) => path);
  const ggufs = names.filter((path) => /\.gguf$/i.test(path));
  const texts = present.filter(({ path }) => textFiles.has(path));
  const weights = await chooseWeights(hub, repo, commit, named);
  if (weights.length === 0 && ggufs.length > 0) {
    if (ggufs.length === 1) {
      checkGgufName(ggufs[0]);
      return [named(ggufs[0])!];
    }
    const shown = ggufs.slice(0, 30).join(', ');
    throw new ParetuneError('usage', `${repo} has ${ggufs.length} GGUF files: ${shown}.`, {
      hint: 'Choose one with --file NAME.gguf.',
    });
  }
  if (weights.length === 0) {
    const pickles = names.filter((path) => pickle.test(path));
    if (pickles.length > 0) throw refusePickles(pickles);
    throw new ParetuneError('unsupported', `${repo} has no weights in safetensors or GGUF.`, {
      hint: 'GGUF files in a folder of the repository are named with --file FOLDER/NAME.gguf.',
    });
  }
  for (const name of ['config.json', 'tokenizer.json']) {
    if (named(name)) continue;
    const adapter = named('adapter_config.json')
      ? ' It looks like an adapter: import the model that it belongs to.'
      : '';
    throw new ParetuneError(
      'unsupported',
      `${repo} has no ${name}, without which its weights cannot be used.${adapter}`,
    );
  }
  return [...texts, ...weights];
}

/** model.safetensors alone, else the shards that the index names, with the index. */
async function chooseWeights(
  hub: Hub,
  repo: string,
  commit: string,
  named: (name: string) => Entry | undefined,
): Promise<Entry[]> {
  const whole = named('model.safetensors');
  if (whole) return [whole];
  const index = named(indexName);
  if (!index) return [];
  if (index.size > mostTextBytes) throw odd(hub, `a ${indexName} of ${index.size} bytes`);
  const { bytes } = await hub.openFile(`${repo}/resolve/${commit}/${indexName}`, 0, index.size);
  const text = await wholeOf(bytes, mostTextBytes, () => odd(hub, `a ${indexName} without an end`));
  const { weight_map: map } = trusted(hub, indexSchema, JSON.parse(text.toString()));
  const shards = [...new Set(Object.values(map))].map((name) => {
    const shard = bareName.test(name) && name.endsWith('.safetensors') ? named(name) : undefined;
    if (shard) return shard;
    throw odd(hub, `an index of weights that names ${JSON.stringify(name.slice(0, 100))}, which is not there`);
  });
  return [index, ...shards];
}

function chooseGguf(repo: string, present: readonly Entry[], file: string): Entry {
  const found = present.find(({ path }) => path === file);
  if (found) return found;
  const others = present.map(({ path }) => path).filter((path) => /\.gguf$/i.test(path));
  throw new ParetuneError('not-found', `${repo} has no file ${file}.`, {
    hint: others.length > 0 ? `There are ${others.slice(0, 30).join(', ')}.` : 'It has no GGUF file there.',
  });
}

function fileOf(hub: Hub, { path, size, oid, lfs }: Entry): HubFile {
  const name = path.slice(path.lastIndexOf('/') + 1);
  if (!bareName.test(name) || reserved.test(name)) throw odd(hub, `a file named ${JSON.stringify(name)}`);
  const bytes = lfs?.size ?? size;
  if (textFiles.has(name) && bytes > mostTextBytes) throw odd(hub, `a ${name} of ${bytes} bytes`);
  if (lfs && /^[0-9a-f]{64}$/.test(lfs.oid)) return { path, name, bytes, hash: { kind: 'sha256', value: lfs.oid } };
  if (!lfs && oid && /^[0-9a-f]{40}$/.test(oid)) return { path, name, bytes, hash: { kind: 'git', value: oid } };
  throw odd(hub, `no hash of ${name}`);
}

function licenceOf(card: z.infer<typeof infoSchema>['cardData']): string | null {
  const named = [card?.license_name, card?.license].find((value) => typeof value === 'string');
  const text = typeof named === 'string' ? named : Array.isArray(card?.license) ? card.license.join(', ') : '';
  return text === '' ? null : text.slice(0, 100);
}
