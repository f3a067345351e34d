/**
 * The families of models that are built here, by transformers' model_type, as a table of what sets them apart: what a
 * config.json means where it is silent, and what its keys cannot say. Everything else is in the file (model-config.ts).
 *
 * Source: the configuration and modelling code of each family in transformers 5.23.
 */

/** Norms stand before attention and feed-forward, after them (OLMo 2), or on both sides (Gemma). */
export type BlockNorms = 'before' | 'after' | 'both';

/** `gelu` is its form with tanh. */
export type Activation = 'silu' | 'gelu';

export type FamilyTraits = {
  /** the class that transformers has for it */
  architecture: string;
  /** its name in messages */
  title: string;
  /** head_dim where it does not follow from the hidden size */
  headDim: number | null;
  normEpsilon: number;
  tiedEmbeddings: boolean;
  theta: number;
  /** the keys by which its config.json can ask for biases */
  biasKeys: readonly ('attention_bias' | 'mlp_bias')[];
  /** queries, keys and values have biases whatever the file says */
  qkvBias: boolean;
  /** whether queries and keys are normalized, and over what: a head, or all heads of a token together */
  qkNorm: 'none' | 'head' | 'heads';
  blockNorms: BlockNorms;
  /** one matrix for queries, keys and values, and one for gate and up */
  fusedProjections: boolean;
  /** rotary positions: a part of each head may be left as it is, and LongRoPE is the one scaling */
  partialRotary: boolean;
  longRope: boolean;
  /** which layers look back `sliding_window` tokens only: `some` goes by `layer_types`, or spares every n-th layer */
  sliding: 'none' | 'all' | 'some';
  slidingWindow: number | null;
  spared: number;
  /** what layers with a window turn by, in place of `theta` and of any scaling; null: as the others */
  localTheta: number | null;
  /** norms multiply by this plus their weight */
  normOffset: 0 | 1;
  activation: Activation;
  /** embeddings are multiplied by the root of the hidden size */
  scaledEmbeddings: boolean;
  /** scores are divided by the root of this where the file is silent; null: of the head size, whatever the file says */
  queryScalar: number | null;
  /** scores and logits z become c tanh(z / c): the keys that say so, and c where the file is silent */
  capKeys: readonly ('attn_logit_softcapping' | 'final_logit_softcapping')[];
  scoreCap: number | null;
  logitCap: number | null;
};

const noCaps = { capKeys: [], scoreCap: null, logitCap: null } as const;

const plain = {
  headDim: null,
  normEpsilon: 1e-6,
  tiedEmbeddings: false,
  theta: 10_000,
  biasKeys: [],
  qkvBias: false,
  qkNorm: 'none',
  blockNorms: 'before',
  fusedProjections: false,
  partialRotary: false,
  longRope: false,
  sliding: 'none',
  slidingWindow: null,
  spared: 0,
  localTheta: null,
  normOffset: 0,
  activation: 'silu',
  scaledEmbeddings: false,
  queryScalar: null,
  ...noCaps,
} as const;

/** What all Gemmas share. */
const gemma = {
  ...plain,
  headDim: 256,
  tiedEmbeddings: true,
  blockNorms: 'both',
  sliding: 'some',
  slidingWindow: 4096,
  normOffset: 1,
  activation: 'gelu',
  scaledEmbeddings: true,
  queryScalar: 256,
} as const;

const table = {
  llama: {
    ...plain,
    architecture: 'LlamaForCausalLM',
    title: 'Llama',
    biasKeys: ['attention_bias', 'mlp_bias'],
  },
  mistral: { ...plain, architecture: 'MistralForCausalLM', title: 'Mistral', sliding: 'all', slidingWindow: 4096 },
  qwen2: { ...plain, architecture: 'Qwen2ForCausalLM', title: 'Qwen2 (Qwen2.5)', qkvBias: true },
  qwen3: {
    ...plain,
    architecture: 'Qwen3ForCausalLM',
    title: 'Qwen3',
    headDim: 128,
    biasKeys: ['attention_bias'],
    qkNorm: 'head',
  },
  smollm3: {
    ...plain,
    architecture: 'SmolLM3ForCausalLM',
    title: 'SmolLM3',
    tiedEmbeddings: true,
    theta: 2_000_000,
    biasKeys: ['attention_bias', 'mlp_bias'],
  },
  olmo2: {
    ...plain,
    architecture: 'Olmo2ForCausalLM',
    title: 'OLMo 2',
    normEpsilon: 1e-5,
    biasKeys: ['attention_bias'],
    qkNorm: 'heads',
    blockNorms: 'after',
  },
  phi3: {
    ...plain,
    architecture: 'Phi3ForCausalLM',
    title: 'Phi-3',
    normEpsilon: 1e-5,
    fusedProjections: true,
    partialRotary: true,
    longRope: true,
    sliding: 'all',
  },
  gemma2: {
    ...gemma,
    architecture: 'Gemma2ForCausalLM',
    title: 'Gemma 2',
    spared: 2,
    capKeys: ['attn_logit_softcapping', 'final_logit_softcapping'],
    scoreCap: 50,
    logitCap: 30,
  },
  gemma3_text: {
    ...gemma,
    architecture: 'Gemma3ForCausalLM',
    title: 'Gemma 3 (text)',
    theta: 1_000_000,
    localTheta: 10_000,
    qkNorm: 'head',
    spared: 6,
    capKeys: ['final_logit_softcapping'],
  },
} as const satisfies Record<string, FamilyTraits>;

export type ModelFamily = keyof typeof table;
export const families: Readonly<Record<ModelFamily, FamilyTraits>> = table;
export const familyNames = Object.keys(table) as ModelFamily[];

/** What to do with models that share their name with one of ours, and no more. */
export const relatives: ReadonlyMap<string, string> = new Map([
  ['gemma3', 'This one sees pictures too: import a GGUF file of it, which holds the text model alone.'],
  ['phimoe', 'This is a mixture of experts: choose Phi-3-mini, Phi-3.5-mini or Phi-4-mini.'],
  ['phi3small', 'This one attends in blocks: choose Phi-3-mini, Phi-3.5-mini or Phi-4-mini.'],
]);

/** All families in words: `Llama, Mistral, ... or Phi-3`. */
export const familyTitles = familyNames
  .map((name) => families[name].title)
  .join(', ')
  .replace(/, ([^,]*)$/, ' or $1');
