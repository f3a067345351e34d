/** A real language model from its GGUF file to a tuned policy by the commands of docs/smollm2.md, each as short as it can be. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { realModel } from '../weights/smollm2.ts';

const main = join(import.meta.dirname, '..', '..', 'src-main', 'cli', 'main.ts');
const home = mkdtempSync(join(tmpdir(), 'paretune-smollm2-'));
after(() => rmSync(home, { recursive: true, force: true }));
const real = realModel();
after(() => 'remove' in real && real.remove());

function paretune<Result>(...args: string[]): Result {
  const child = spawnSync(process.execPath, [main, ...args, '--json', '--data', home], { encoding: 'utf8', cwd: home });
  assert.equal(child.status, 0, child.stderr + child.stdout);
  return JSON.parse(child.stdout) as Result;
}

test('SmolLM2 is imported, warmed up on word problems and tuned on them', { skip: 'skip' in real && real.skip }, () => {
  const rows = Array.from({ length: 60 }, (_, i) => {
    const [had, found] = [i + 3, (i % 7) + 2];
    const body = `Tom had ${had} marbles. He found ${found} more`;
    return { Body: body, Question: 'How many has he now?', Equation: `( ${had}.0 + ${found}.0 )`, Answer: had + found };
  });
  writeFileSync(join(home, 'marbles.jsonl'), rows.map((row) => JSON.stringify(row)).join('\n'));
  const { family } = paretune<{ family: string }>('import', 'path' in real ? real.path : '', '--as', 'smollm2');
  assert.equal(family, 'llama');

  const learning = ['--traces', 'python', '--lora', '8', '--learning-rate', '2e-3', '--steps', '4', '--batch', '2'];
  const { loss, demonstrations } = paretune<{ loss: { before: number; after: number }; demonstrations: number }>(
    ...['sft', '-m', 'imported:smollm2', '-d', 'marbles.jsonl', '--max-tokens', '320', '--to', 'warm', ...learning],
  );
  assert.ok(demonstrations > 30, `${demonstrations} demonstrations`);
  assert.ok(loss.after < 0.8 * loss.before, `loss ${loss.before} -> ${loss.after}`);

  const settings = ['problemsPerStep=1', 'groupSize=4', 'selectionProblems=1', 'reportProblems=1', 'limits.tokens=300'];
  const lora = ['train.parameters=lora', 'train.learningRate=2e-4', 'evaluation.greedy=false', 'guard.success=0.5'];
  const run = paretune<{ status: string; step: number; report: object }>(
    ...['tune', '--model', './warm', '--task', './marbles.jsonl', '--steps', '1'],
    ...[...settings, ...lora].flatMap((setting) => ['--set', setting]),
  );
  assert.deepEqual([run.status, run.step], ['finished', 1]);
});
