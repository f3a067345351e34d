/** A supervised training that is stopped or killed goes on to the very weights of one that never was. */
import assert from 'node:assert/strict';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { CommandContext } from '../../src-main/engine-process/command.ts';
import { commands } from '../../src-main/engine-process/commands.ts';

const root = mkdtempSync(join(tmpdir(), 'paretune-sft-'));
after(() => rmSync(root, { recursive: true }));
const chats = join(root, 'chats.jsonl');
writeFileSync(
  chats,
  Array.from({ length: 12 }, (_, i) =>
    JSON.stringify({
      messages: [
        { role: 'user', content: `${i + 10}+7` },
        { role: 'assistant', content: String(i + 17) },
      ],
    }),
  ).join('\n'),
);

/** `onStep` may stop the training. */
async function sft(to: string, more: Record<string, unknown> = {}, onStep?: (step: number, stop: () => void) => void) {
  const controller = new AbortController();
  const context: CommandContext = {
    dataFolder: root,
    emit() {},
    item() {},
    signal: controller.signal,
    progress: ({ label, done }) => label === 'learning' && onStep?.(done, () => controller.abort()),
  };
  const asked = { model: 'starter:under-user', demonstrations: [chats], steps: 6, batchSize: 5, threads: 1 };
  const { command } = await commands.sft();
  return command.run(command.payload.parse({ ...asked, to: join(root, to), ...more }), context);
}

const weightsOf = (to: string) => readFileSync(join(root, to, 'model.safetensors'));

test('stopped twice, it has the weights and losses of a training that never was; nothing of its making is left', async () => {
  const whole = await sft('whole');
  const first = await sft('parts', {}, (step, stop) => step === 2 && stop());
  assert.deepEqual([first.steps, first.of, first.before], [2, 6, 0]);
  assert.notDeepEqual(weightsOf('parts'), weightsOf('whole'), 'the model as it is by then');
  const second = await sft('parts', {}, (step, stop) => step === 3 && stop());
  assert.deepEqual([second.steps, second.before], [3, 2]);
  const third = await sft('parts');
  assert.deepEqual([third.steps, third.before], [6, 3]);
  assert.deepEqual(third.loss, whole.loss);
  assert.deepEqual(weightsOf('parts'), weightsOf('whole'));
  assert.deepEqual(readdirSync(join(root, 'parts')).sort(), readdirSync(join(root, 'whole')).sort());
});

test('killed, it goes on from its last checkpoint, an adapter too', async () => {
  const lora = { loraRank: 4 };
  await sft('adapter', lora);
  await sft('stopped', lora, (step, stop) => step === 4 && stop());
  // what a kill leaves: no model, and what was being written
  const killed = join(root, 'killed', '.unfinished-training');
  cpSync(join(root, 'stopped', '.unfinished-training'), killed, { recursive: true });
  mkdirSync(join(killed, 'checkpoints', '.unfinished-1'));
  assert.equal((await sft('killed', lora)).before, 4);
  assert.deepEqual(weightsOf('killed'), weightsOf('adapter'));
  assert.ok(!existsSync(killed));
});

test('another asking, a folder of something else and a damaged record are refused, and stay as they are', async () => {
  await sft('other', {}, (step, stop) => step === 1 && stop());
  await assert.rejects(sft('other', { learningRate: 0.5 }), {
    code: 'usage',
    message: /unfinished training that is not this one: learningRate was 0\.001, now 0\.5/,
  });
  const asked = join(root, 'other', '.unfinished-training', 'asked.json');
  writeFileSync(asked, '{"steps":');
  await assert.rejects(sft('other'), { code: 'bad-file', hint: /new folder/ });
  mkdirSync(join(root, 'full'));
  writeFileSync(join(root, 'full', 'notes.txt'), 'mine');
  await assert.rejects(sft('full'), { code: 'usage', message: /is not empty/ });
  assert.deepEqual(readdirSync(join(root, 'full')), ['notes.txt']);
});

test('what comes to nothing before anything was saved leaves the folder free for the next try', async () => {
  const none = join(root, 'none.jsonl');
  writeFileSync(none, JSON.stringify({ messages: [{ role: 'user', content: '1+1' }] }));
  await assert.rejects(sft('free', { demonstrations: [none] }), { code: /bad-data|usage|bad-file/ });
  assert.ok(!existsSync(join(root, 'free')));
  assert.equal((await sft('free')).steps, 6);
});
