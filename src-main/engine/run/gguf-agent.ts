/** A GGUF file as the model folder that it becomes when it is imported: the same configuration, tokenizer, template and weights. */
import type { Json } from '../../contract/records.ts';
import { toConfigJson } from '../model/model-config.ts';
import { weightSpecs } from '../model/weight-specs.ts';
import { ggufTokenizer } from '../text/gguf-tokenizer.ts';
import { type GgufModel, openGgufModel } from '../weights/gguf-model.ts';
import { hashTensors } from '../weights/model-folder.ts';
import { type TensorSource, tensorBytes } from '../weights/safetensors.ts';
import { type Agent, agentOf } from './agent.ts';

export type GgufAgent = Agent & {
  /** the small files of the model folder, by name */
  texts: Map<string, string>;
  /** the shards of its weights: the tensors of each, by file name; with an index in `texts` where there are several */
  shards: Map<string, Map<string, TensorSource>>;
};

/** A shard holds at most this much, or one tensor: what is lost where an import is killed. */
const SHARD_BYTES = 2 ** 30;

/** Opens a GGUF file as an agent, reading no weights. Throws `not-found`, `bad-file` or `unsupported`. */
export function openGgufAgent(path: string): GgufAgent {
  const model = openGgufModel(path);
  const { config } = model;
  const text = ggufTokenizer(model.file.metadata, path);
  const names = weightSpecs(config).map(({ name }) => name);
  const tokenizerConfig: { [key: string]: Json } = text?.tokenizerConfig ?? {};
  const agent = agentOf({
    folder: path,
    config,
    tokenizerJson: text?.tokenizerJson ?? null,
    tokenizerConfig,
    chatTemplate: text?.chatTemplate ?? null,
    generationConfig: {},
    eosTokenIds: config.eosTokenIds,
    readWeights: () => new Map(names.map((name) => [name, model.readWeight(name)])),
    weightsHash: () => hashTensors(names, model.readWeight),
  });
  const shards = shardsOf(model);
  const json = (value: Json) => `${JSON.stringify(value, null, 2)}\n`;
  const texts = new Map([['config.json', json(toConfigJson(config))]]);
  if (text !== null) {
    texts.set('tokenizer.json', `${JSON.stringify(text.tokenizerJson)}\n`);
    texts.set('tokenizer_config.json', json(tokenizerConfig));
    if (text.chatTemplate !== null) texts.set('chat_template.jinja', text.chatTemplate);
  }
  if (shards.size > 1) texts.set('model.safetensors.index.json', json(indexOf(shards)));
  return { ...agent, texts, shards };
}

function shardsOf(model: GgufModel): GgufAgent['shards'] {
  const groups: Map<string, TensorSource>[] = [];
  let room = 0;
  for (const [name, source] of model.sources()) {
    const bytes = tensorBytes(source);
    if (bytes > room) {
      groups.push(new Map());
      room = SHARD_BYTES;
    }
    groups.at(-1)!.set(name, source);
    room -= bytes;
  }
  if (groups.length === 1) return new Map([['model.safetensors', groups[0]]]);
  const digits = (index: number) => String(index).padStart(5, '0');
  const nameOf = (i: number) => `model-${digits(i + 1)}-of-${digits(groups.length)}.safetensors`;
  return new Map(groups.map((group, i) => [nameOf(i), group]));
}

function indexOf(shards: GgufAgent['shards']): Json {
  const all = [...shards].flatMap(([file, sources]) => [...sources].map(([name, source]) => ({ name, file, source })));
  return {
    metadata: { total_size: all.reduce((sum, { source }) => sum + tensorBytes(source), 0) },
    weight_map: Object.fromEntries(all.map(({ name, file }) => [name, file])),
  };
}
