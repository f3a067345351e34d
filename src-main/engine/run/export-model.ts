/**
 * A tuned policy as one folder that onnxruntime-genai and transformers.js load, and Hugging Face tools read: ONNX variants
 * in onnx/, tokenizer, chat template, configurations, a card, and the adapter in PEFT's form where there is one. Written
 * under another name, opened again and compared with the engine (verify-export.ts), and renamed when all is right.
 *
 *   onnx/model.onnx (+ model.onnx_data)   fp32; genai_config.json points here as well
 *   onnx/model_fp16.onnx                  weights stored in 16 bits, computed in 32
 *   onnx/model_q4.onnx                    linear layers in 4 bits (MatMulNBits), embeddings and head in 32
 */
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  openSync,
  closeSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
  fsyncSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { ParetuneError } from '../../contract/errors.ts';
import type { Json } from '../../contract/records.ts';
import { explainDiskFailures, requireFreeBytes } from '../base/atomic-file.ts';
import type { ExternalData, Graph, TensorData, Value } from '../graph/graph.ts';
import { onnxBytes } from '../graph/onnx-bytes.ts';
import { cast } from '../graph/ops.ts';
import { buildExportGraph } from '../model/export-graph.ts';
import { type ModelConfig, toConfigJson } from '../model/model-config.ts';
import { BLOCK, quantize4 } from '../model/quantize.ts';
import { weightSpecs } from '../model/weight-specs.ts';
import { tensorMap } from '../runtime/parameters.ts';
import { mergedWeights, type Policy } from '../runtime/policy.ts';
import { writeAdapter } from '../weights/adapter.ts';
import { floatsToHalves } from '../base/half.ts';
import type { Agent } from './agent.ts';
import { type ExportVariant, exportVariants, variantFile } from './export-variants.ts';
import { type VariantCheck, verifyExport } from './verify-export.ts';

export const exportTargets = ['genai', 'transformers.js', 'all'] as const;
export type ExportTarget = (typeof exportTargets)[number];

export type ExportOptions = {
  to: string;
  target: ExportTarget;
  variants: readonly ExportVariant[];
  /** the text of README.md */
  card: string;
  threads: number;
};

export type ExportedModel = { folder: string; bytes: number; checks: VariantCheck[] };

/** Tensors below this size stay in the graph file: some readers refuse shapes and scalars from outside. */
const INLINE_BYTES = 1024;
/** One write to a file: some systems take no more than 2 GiB at once. */
const WRITE_BYTES = 2 ** 28;

/**
 * Writes the folder, checks it against the engine, and gives it its name. Errors: `usage` for a folder that is not empty,
 * `disk` without space, `engine` where a file does not compute what it should; then there is no folder.
 */
export async function exportModel(agent: Agent, policy: Policy, options: ExportOptions): Promise<ExportedModel> {
  const { to, variants } = options;
  if (existsSync(to) && readdirSync(to).length > 0) {
    throw new ParetuneError('usage', `${to} is not empty.`, { hint: 'Export into a new folder.' });
  }
  mkdirSync(dirname(to), { recursive: true });
  const weights = mergedWeights(policy);
  const elements = [...weights.values()].reduce((sum, { data }) => sum + data.length, 0);
  requireFreeBytes(dirname(to), elements * 4 * variants.length * 1.1 + 2 ** 22, 'The exported model');
  const partial = `${to}.partial`;
  try {
    explainDiskFailures(to, () => writeFolder(partial, agent, policy, weights, options));
    const checks = await verifyExport(partial, policy, variants, options.threads);
    explainDiskFailures(to, () => {
      rmSync(to, { recursive: true, force: true });
      renameSync(partial, to);
    });
    return { folder: to, bytes: folderBytes(to), checks };
  } finally {
    rmSync(partial, { recursive: true, force: true });
  }
}

function writeFolder(
  folder: string,
  agent: Agent,
  policy: Policy,
  weights: ReturnType<typeof mergedWeights>,
  options: ExportOptions,
): void {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(join(folder, 'onnx'), { recursive: true });
  const chunks: Record<string, number> = {};
  for (const variant of options.variants) {
    const file = variantFile[variant];
    if (writeVariant(join(folder, 'onnx', file), policy.config, weights, variant)) chunks[file] = 1;
  }
  writeTexts(folder, agent, options, chunks);
  if (policy.lora === null) return;
  const { options: lora, parameters } = policy.lora;
  const adapter = {
    rank: lora.rank,
    alpha: lora.alpha,
    targets: [...lora.targets].sort(),
    tensors: tensorMap(parameters),
  };
  mkdirSync(join(folder, 'adapter'));
  // the base by its name only: where it lies on this machine is nobody's business
  writeAdapter(join(folder, 'adapter'), adapter, basename(agent.folder.folder));
}

/** One ONNX file and, for all but tiny models, its weights beside it. Answers whether there is such a file. */
function writeVariant(
  path: string,
  config: ModelConfig,
  weights: ReadonlyMap<string, { shape: number[]; data: Float32Array }>,
  variant: ExportVariant,
): boolean {
  const dataFile = `${path.split(/[\\/]/).at(-1)}_data`;
  const blob = openSync(join(dirname(path), dataFile), 'wx');
  let offset = 0;
  const place = (data: TensorData): TensorData | ExternalData => {
    if (data.byteLength < INLINE_BYTES) return data;
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    for (let done = 0; done < bytes.length; )
      done += writeSync(blob, bytes, done, Math.min(bytes.length - done, WRITE_BYTES));
    const external = { location: dataFile, offset, length: data.byteLength };
    offset += data.byteLength;
    return external;
  };
  const linear = new Set(weightSpecs(config).flatMap(({ name, role }) => (role === 'linear' ? [name] : [])));
  const weight = (graph: Graph, name: string): Value => {
    const { shape, data } = weights.get(name)!;
    if (variant !== 'fp16') return graph.initializer(name, 'float32', shape, place(data));
    return cast(graph.initializer(`${name}.half`, 'float16', shape, place(floatsToHalves(data))), 'float32');
  };
  const quantized = (graph: Graph, name: string) => {
    if (variant !== 'q4' || !linear.has(name)) return null;
    const { shape, data } = weights.get(name)!;
    const [rows, columns] = shape;
    const { packed, scales } = quantize4(data, rows, columns);
    const blocks = Math.ceil(columns / BLOCK);
    return {
      packed: graph.initializer(`${name}.packed`, 'uint8', [rows, blocks, BLOCK / 2], place(packed)),
      scales: graph.initializer(`${name}.scales`, 'float32', [rows * blocks], place(scales)),
      blockSize: BLOCK,
    };
  };
  let graph: Graph;
  try {
    graph = buildExportGraph({ config, weight, quantized, maxPositions: config.maxPositions });
    fsyncSync(blob);
  } finally {
    closeSync(blob);
  }
  writeFileSync(path, onnxBytes(graph, { producer: 'paretune', metadata: { variant } }));
  if (offset === 0) rmSync(join(dirname(path), dataFile));
  return offset > 0;
}

function writeTexts(folder: string, agent: Agent, options: ExportOptions, chunks: Record<string, number>): void {
  const { config, folder: model } = agent;
  const json = (name: string, value: unknown) =>
    writeFileSync(join(folder, name), `${JSON.stringify(value, null, 2)}\n`);
  json(
    'config.json',
    toConfigJson(config, {
      'transformers.js_config': { use_external_data_format: chunks, dtype: preciseVariant(options) },
    }),
  );
  json('generation_config.json', {
    ...model.generationConfig,
    eos_token_id: stopIds(agent),
    pad_token_id: padId(agent),
  });
  for (const name of ['tokenizer.json', 'special_tokens_map.json']) {
    if (existsSync(join(model.folder, name))) copyFileSync(join(model.folder, name), join(folder, name));
  }
  json('tokenizer_config.json', { ...model.tokenizerConfig, chat_template: model.chatTemplate ?? undefined });
  if (model.chatTemplate !== null) writeFileSync(join(folder, 'chat_template.jinja'), model.chatTemplate);
  if (options.target !== 'transformers.js') {
    json('genai_config.json', genaiConfig(agent, `onnx/${variantFile[preciseVariant(options)]}`));
  }
  writeFileSync(join(folder, 'README.md'), options.card);
}

/** Where a runtime takes one variant unasked, it is the most precise that was written. */
function preciseVariant({ variants }: Pick<ExportOptions, 'variants'>): ExportVariant {
  return exportVariants.find((name) => variants.includes(name))!;
}

function stopIds(agent: Agent): number[] {
  return agent.chatFormat([]).stopTokens;
}

function padId(agent: Agent): number {
  return agent.config.padTokenId ?? stopIds(agent)[0];
}

/** onnxruntime-genai's configuration; it refuses keys that it does not know. */
function genaiConfig(agent: Agent, filename: string): Json {
  const { config } = agent;
  const [stop] = stopIds(agent);
  return {
    model: {
      // it knows OLMo 2 by the name of the first; all that counts is that it is a plain decoder
      type: config.family === 'olmo2' ? 'olmo' : config.family,
      bos_token_id: config.bosTokenId ?? stop,
      eos_token_id: stopIds(agent),
      pad_token_id: padId(agent),
      vocab_size: config.vocabSize,
      context_length: config.maxPositions,
      decoder: {
        session_options: { log_id: 'onnxruntime-genai', provider_options: [] },
        filename,
        head_size: config.headDim,
        hidden_size: config.hiddenSize,
        num_attention_heads: config.heads,
        num_key_value_heads: config.kvHeads,
        num_hidden_layers: config.layers,
        inputs: {
          input_ids: 'input_ids',
          attention_mask: 'attention_mask',
          past_key_names: 'past_key_values.%d.key',
          past_value_names: 'past_key_values.%d.value',
        },
        outputs: { logits: 'logits', present_key_names: 'present.%d.key', present_value_names: 'present.%d.value' },
      },
    },
    search: {
      do_sample: false,
      max_length: Math.min(config.maxPositions, 2048),
      min_length: 0,
      num_beams: 1,
      past_present_share_buffer: false,
      repetition_penalty: 1,
      temperature: 1,
      top_k: 1,
      top_p: 1,
    },
  };
}

function folderBytes(folder: string): number {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, entry) => sum + statSync(join(entry.parentPath, entry.name)).size, 0);
}
