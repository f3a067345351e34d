/**
 * The exported folder in the hands of those it is for: onnxruntime-genai (Python) and transformers.js, both offline, must
 * tokenize as we do and continue greedily with our tokens. The bundled agent on its tasks, and a small model of each family
 * that was imported from a GGUF file.
 *
 *   PARETUNE_PEERS             a virtual environment with onnxruntime-genai (scripts/make-peers.sh makes one)
 *   PARETUNE_TRANSFORMERS_JS   a folder whose node_modules holds @huggingface/transformers
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { test } from 'node:test';
import { collectTrajectories } from '../../src-main/engine/rollout/collect.ts';
import { DecodeEngine } from '../../src-main/engine/rollout/decode-engine.ts';
import { type Agent, openAgent } from '../../src-main/engine/run/agent.ts';
import { exportModel } from '../../src-main/engine/run/export-model.ts';
import type { CommandContext } from '../../src-main/engine-process/command.ts';
import { commands } from '../../src-main/engine-process/commands.ts';
import { greedyTokens } from '../golden/model-fixture.ts';
import { lacks, python } from '../python-peers.ts';
import { openTasks, overUser, rolloutSettings, temporaryFolder } from '../run/starter.ts';
import { ggufFamilies, type GgufFamily, ggufPath } from '../weights/gguf-fixtures.ts';

const transformers = process.env.PARETUNE_TRANSFORMERS_JS;
const noGenai = lacks('onnxruntime_genai');
const noTransformers =
  transformers !== undefined && existsSync(join(transformers, 'node_modules', '@huggingface', 'transformers'))
    ? false
    : 'PARETUNE_TRANSFORMERS_JS names no folder with @huggingface/transformers';

/** `ids` of the text alone, `prompt` with BOS before them where the tokenizer puts it there, and what follows. */
type Case = { text: string; ids: number[]; prompt: number[]; turn: number[] };

/** Prompts of both tasks and the first turn that the engine gives, greedily. */
async function starterTurns(t: { after(action: () => void): void }) {
  const environment = await openTasks(overUser, ['arithmetic', 'multi-hop'], temporaryFolder(t));
  const problems = environment.problems('report', 4, 0);
  const engine = new DecodeEngine(overUser.newPolicy(null, 0), { threads: 1, maxTokens: 160 });
  const settings = rolloutSettings({ sampling: 'greedy', limits: { ...rolloutSettings().limits, calls: 0 } });
  const requests = problems.map((problem) => ({ problem, samples: 1 }));
  const { groups } = await collectTrajectories(requests, engine, environment.formatOf, environment.callTool, settings);
  await engine.dispose();
  await environment.close();
  return groups.map(([one], i) => {
    const [prompt] = one.segments;
    return {
      text: `<|user|>${problems[i].messages[0].content}<|assistant|>`,
      ids: one.tokens.slice(0, prompt.end),
      prompt: one.tokens.slice(0, prompt.end),
      turn: one.tokens.slice(prompt.end),
    };
  });
}

/** Texts, and what the engine goes on with greedily, up to a stop token. */
async function familyTurns(agent: Agent): Promise<Case[]> {
  const texts = ['the agent asks the tool about it, and the tool answers', "It doesn't; naïve café"];
  const { add_bos_token: begins, bos_token: bos } = agent.folder.tokenizerConfig;
  const before = begins === true ? [agent.tokenizer.idOf(String(bos))!] : [];
  const ids = texts.map((text) => agent.tokenizer.encode(text, { special: true }));
  const prompts = ids.map((list) => [...before, ...list]);
  const stops = agent.chatFormat([]).stopTokens;
  const made = await greedyTokens(agent.newPolicy(null, 0), prompts, 32);
  return texts.map((text, i) => {
    const stop = made[i].findIndex((token) => stops.includes(token));
    return { text, ids: ids[i], prompt: prompts[i], turn: stop < 0 ? made[i] : made[i].slice(0, stop + 1) };
  });
}

const genaiProgram = `
import json, sys
import numpy
import onnxruntime_genai as genai
folder, cases = sys.argv[1], json.load(open(sys.argv[2]))
model = genai.Model(folder)
tokenizer = genai.Tokenizer(model)
results = []
for case in cases:
    parameters = genai.GeneratorParams(model)
    parameters.set_search_options(max_length=len(case["prompt"]) + len(case["turn"]), do_sample=False)
    generator = genai.Generator(model, parameters)
    generator.append_tokens(numpy.array([case["prompt"]], dtype=numpy.int32))
    made = []
    while not generator.is_done() and len(made) < len(case["turn"]):
        generator.generate_next_token()
        made.append(int(generator.get_next_tokens()[0]))
    results.append({"ids": [int(x) for x in tokenizer.encode(case["text"])], "turn": made})
print(json.dumps(results))
`;

const transformersProgram = `
import { readFileSync } from 'node:fs';
import { AutoModelForCausalLM, AutoTokenizer, env } from '@huggingface/transformers';
const [parent, name, file] = process.argv.slice(2);
env.allowRemoteModels = false;
env.localModelPath = parent;
const tokenizer = await AutoTokenizer.from_pretrained(name);
const model = await AutoModelForCausalLM.from_pretrained(name, { dtype: 'fp32', device: 'cpu' });
const results = [];
for (const { text, turn } of JSON.parse(readFileSync(file, 'utf8'))) {
  const inputs = tokenizer(text);
  const prompt = Array.from(inputs.input_ids.data, Number);
  const output = await model.generate({ ...inputs, max_new_tokens: turn.length, do_sample: false });
  results.push({ prompt, turn: Array.from(output.data, Number).slice(prompt.length) });
}
console.log(JSON.stringify(results));
process.exit(0);
`;

type Context = { after(action: () => void): void };

/** An exported folder with what is expected of who reads it. */
async function prepare(t: Context, agent: Agent, cases: Case[]) {
  const to = join(temporaryFolder(t), 'agent');
  const policy = agent.newPolicy(null, 0);
  await exportModel(agent, policy, { to, target: 'all', variants: ['fp32'], card: '', threads: 1 });
  const file = join(dirname(to), 'cases.json');
  writeFileSync(file, JSON.stringify(cases));
  return { to, file };
}

async function imported(t: Context, family: GgufFamily): Promise<Agent> {
  const dataFolder = temporaryFolder(t);
  const { command } = await commands.import();
  const signal = new AbortController().signal;
  const context: CommandContext = { dataFolder, emit() {}, progress() {}, item() {}, signal };
  return openAgent((await command.run({ folder: ggufPath(family) }, context)).folder);
}

const subjects: [string, (t: Context) => Promise<[Agent, Case[]]>][] = [
  ['the bundled agent', async (t) => [overUser, await starterTurns(t)]],
  ...ggufFamilies.map((family): (typeof subjects)[number] => [
    `a ${family} model`,
    async (t) => {
      const agent = await imported(t, family);
      return [agent, await familyTurns(agent)];
    },
  ]),
];

const lastLine = (text: string) => JSON.parse(text.trim().split('\n').at(-1)!);

for (const [name, make] of subjects) {
  test(`onnxruntime-genai tokenizes and continues as the engine does: ${name}`, {
    skip: noGenai,
    timeout: 120_000,
  }, async (t) => {
    const [agent, cases] = await make(t);
    const { to, file } = await prepare(t, agent, cases);
    const results = lastLine(execFileSync(python, ['-c', genaiProgram, to, file], { encoding: 'utf8' }));
    assert.deepEqual(
      results,
      cases.map(({ ids, turn }) => ({ ids, turn })),
    );
  });

  test(`transformers.js tokenizes and continues as the engine does: ${name}`, {
    skip: noTransformers,
    timeout: 120_000,
  }, async (t) => {
    const [agent, cases] = await make(t);
    const { to, file } = await prepare(t, agent, cases);
    const program = join(transformers!, `paretune-consumer-${process.pid}.mjs`);
    writeFileSync(program, transformersProgram);
    t.after(() => rmSync(program, { force: true }));
    const output = execFileSync(process.execPath, [program, dirname(to), basename(to), file], {
      encoding: 'utf8',
      cwd: transformers,
    });
    assert.deepEqual(
      lastLine(output),
      cases.map(({ prompt, turn }) => ({ prompt, turn })),
    );
  });
}
