/** The command line as a user meets it: real processes, the real engine, one data folder from demo to export. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { Estimate } from '../../src-main/contract/window-records.ts';

const root = join(import.meta.dirname, '..', '..');
const main = join(root, 'src-main', 'cli', 'main.ts');
let home = '';

function paretune(
  args: string[],
  input = '',
): {
  code: number | null;
  out: string;
  err: string;
  json: Record<string, never> & { error?: { code: string; message: string; hint: string } };
} {
  const child = spawnSync(process.execPath, [main, ...args, '--data', home], { encoding: 'utf8', input, cwd: home });
  const json = args.includes('--json') && child.stdout.trim().startsWith('{') ? JSON.parse(child.stdout) : {};
  return { code: child.status, out: child.stdout, err: child.stderr, json };
}

const tiny = [
  'problemsPerStep=4',
  'groupSize=4',
  'trainProblems=16',
  'selectionProblems=8',
  'reportProblems=8',
  'evaluation.greedy=false',
].flatMap((setting) => ['--set', setting]);

describe('paretune', { concurrency: false }, () => {
  before(() => {
    home = mkdtempSync(join(tmpdir(), 'paretune-cli-'));
  });
  after(() => rmSync(home, { recursive: true, force: true }));

  test('demo says what it did, in words and as one object', () => {
    const { code, json, err } = paretune(['demo', '--steps', '2', '--problems', '16', '--json']);
    assert.equal(code, 0, err);
    const demo = json as unknown as {
      tasks: Record<string, { before: object; after: object; hypervolume: object }>;
      steps: number;
      seconds: number;
      database: string;
      export: string;
    };
    assert.deepEqual(Object.keys(demo.tasks), ['arithmetic', 'multi-hop']);
    for (const task of Object.values(demo.tasks)) {
      for (const end of [task.before, task.after])
        assert.deepEqual(Object.keys(end).sort(), ['calls', 'cost', 'n', 'success']);
      assert.deepEqual(Object.keys(task.hypervolume), ['before', 'after']);
    }
    assert.equal(demo.steps, 2);
    assert.ok(demo.seconds > 0);
    assert.ok(existsSync(demo.database));
    assert.ok(existsSync(join(demo.export, 'onnx', 'model.onnx')));
  });

  test('a run can be tuned, shown, compared, scored again, evaluated, exported and talked to', () => {
    const tuned = paretune([
      'tune',
      '--model',
      'starter:over-user',
      '--task',
      'arithmetic',
      '--steps',
      '2',
      ...tiny,
      '--json',
    ]);
    assert.equal(tuned.code, 0, tuned.err);
    assert.equal((tuned.json as unknown as { runId: string }).runId, 'arithmetic-1');
    assert.match(tuned.err, /step 2\/2/);

    const shown = paretune(['show', 'arithmetic-1', '--svg', 'frontier.svg']);
    assert.match(shown.out, /frontier:1/);
    assert.match(readFileSync(join(home, 'frontier.svg'), 'utf8'), /^<svg/);

    assert.match(paretune(['runs']).out, /demo-1.*finished/);
    const dry = ['tune', '--model', 'starter:over-user', '--task', 'arithmetic', '--dry-run', ...tiny];
    const { memory, time } = paretune([...dry, '--json']).json as unknown as Estimate;
    assert.ok(memory.needed > 0 && memory.needed < memory.available);
    assert.ok(time !== null && time.secondsPerStep > 0 && time.seconds > 60 * time.secondsPerStep);
    assert.match(
      paretune(dry).out,
      /^memory: about .*: fits\ntime: about .* a step, about .* for all 60 .*\n +\(measured on/,
    );

    const compared = paretune(['compare', 'arithmetic-1', 'demo-1', '--json']);
    assert.equal(compared.json.error?.code, 'usage', 'other tasks are other axes');
    assert.equal(compared.code, 2);
    assert.equal(paretune(['compare', 'last', 'arithmetic-1']).code, 0);

    const rescored = paretune(['rescore', 'arithmetic-1', '--price', 'python=3', '--json']);
    const [point] = (rescored.json as unknown as { points: { cost: number; costBefore: number }[] }).points;
    assert.ok(Math.abs(point.cost - 3 * point.costBefore) < 1e-9);

    const measured = paretune(['eval', '--run', 'arithmetic-1', '--checkpoint', 'last', '--problems', '8', '--json']);
    assert.deepEqual(
      (measured.json as unknown as { points: { sampling: string }[] }).points.map((p) => p.sampling),
      ['sampled', 'greedy'],
    );

    const exported = paretune([
      'export',
      'arithmetic-1',
      '--checkpoint',
      'last',
      '--to',
      'exported',
      '--variant',
      'fp32',
      '--variant',
      'q4',
      '--problems',
      '8',
      '--json',
    ]);
    assert.equal(exported.code, 0, exported.err);
    const variants = (exported.json as unknown as { variants: { variant: string; greedyAgreement: number }[] })
      .variants;
    assert.deepEqual(
      variants.map((v) => v.variant),
      ['fp32', 'q4'],
    );
    assert.equal(variants[0].greedyAgreement, 1);
    assert.match(readFileSync(join(home, 'exported', 'README.md'), 'utf8'), /95 % interval/);

    const talked = paretune(['chat', '--run', 'arithmetic-1', '--checkpoint', 'last', '34*7', '--json']);
    assert.equal((talked.json as unknown as { answer: string }).answer, '238');
    const conversation = paretune(['chat', '--model', 'starter:over-user'], '7+5\n\n');
    assert.match(conversation.out, /12/);
  });

  test('a run that was stopped goes on, a finished one says that it has nothing to do', () => {
    assert.equal(paretune(['resume', 'arithmetic-1', '--json']).json.error?.code, 'usage');
    assert.equal(paretune(['resume', 'nothing', '--json']).json.error?.code, 'not-found');
  });

  test('a model can be warmed up on demonstrations, imported and used by its name', () => {
    const rows = Array.from({ length: 24 }, (_, i) =>
      JSON.stringify({
        messages: [
          { role: 'user', content: `${i + 10}+7` },
          {
            role: 'assistant',
            content: '',
            tool_calls: [{ type: 'function', function: { name: 'python', arguments: { code: `${i + 10}+7` } } }],
          },
          { role: 'tool', name: 'python', content: String(i + 17) },
          { role: 'assistant', content: String(i + 17) },
        ],
      }),
    );
    writeFileSync(join(home, 'chats.jsonl'), rows.join('\n'));
    const sft = paretune([
      'sft',
      '-m',
      'starter:under-user',
      '-d',
      'chats.jsonl',
      '--to',
      'warm',
      '--steps',
      '4',
      '--batch',
      '8',
      '--json',
    ]);
    assert.equal(sft.code, 0, sft.err + sft.out);
    const { loss, demonstrations } = sft.json as unknown as {
      loss: { before: number; after: number };
      demonstrations: number;
    };
    assert.equal(demonstrations, 24);
    assert.ok(loss.after < loss.before, `${loss.before} -> ${loss.after}`);
    const imported = paretune(['import', 'warm', '--as', 'mine', '--json']);
    assert.equal(imported.code, 0, imported.err);
    assert.equal(
      paretune(['eval', '--model', 'imported:mine', '--task', 'arithmetic', '--problems', '8', '--no-greedy']).code,
      0,
    );
    assert.equal(paretune(['import', 'warm', '--as', 'mine', '--json']).json.error?.code, 'usage');
    const again = ['--to', 'again', '--steps', '1', '--batch', '2'];
    assert.equal(paretune(['sft', '-m', 'imported:mine', '-d', 'chats.jsonl', ...again]).code, 0);
    const kept = readdirSync(join(home, 'again')).sort();
    assert.deepEqual(kept, readdirSync(join(home, 'warm')).sort(), 'no record of an import of other weights');
  });

  test('a warm start on the training part of word problems goes on as a guarded run on the same file', () => {
    const rows = Array.from({ length: 80 }, (_, i) =>
      JSON.stringify({
        Body: `${i} and 5.`,
        Question: 'Both?',
        Equation: `( ${i}.0 + 5.0 )`,
        Answer: i + 5,
        Type: 'Sum',
      }),
    );
    writeFileSync(join(home, 'words.jsonl'), rows.join('\n'));
    const warm = ['--traces', 'calculator', '--to', 'words', '--lora', '4', '--steps', '3', '--batch', '8', '--json'];
    const sft = paretune(['sft', '-m', 'starter:under-user', '-d', 'words.jsonl', ...warm]);
    assert.equal(sft.code, 0, sft.err + sft.out);
    const counts = sft.json as unknown as { demonstrations: number; leftOut: number; heldOut: number };
    assert.equal(counts.leftOut, 0);
    assert.ok(counts.heldOut > 8 && counts.demonstrations + counts.heldOut === 80, JSON.stringify(counts));
    const given = ['tools=calculator', 'train.parameters=lora', 'guard.success=0.5', 'guard.kl=1'].flatMap(
      (setting) => ['--set', setting],
    );
    const tuned = paretune([
      'tune',
      '--model',
      './words',
      '--task',
      './words.jsonl',
      '--steps',
      '2',
      ...tiny,
      ...given,
      '--json',
    ]);
    assert.equal(tuned.code, 0, tuned.err + tuned.out);
    assert.equal((tuned.json as unknown as { status: string }).status, 'finished');
  });

  test("a user's own task file is used, and a bad one is told line by line", () => {
    const rows = Array.from({ length: 40 }, (_, i) =>
      JSON.stringify({ prompt: `${i + 10}*3`, answer: String((i + 10) * 3), tools: ['python'] }),
    );
    writeFileSync(join(home, 'mine.jsonl'), rows.join('\n'));
    const tuned = paretune([
      'tune',
      '--model',
      'starter:over-user',
      '--task',
      'mine.jsonl',
      '--steps',
      '1',
      ...tiny,
      '--json',
    ]);
    assert.equal(tuned.code, 0, tuned.err + tuned.out);
    writeFileSync(join(home, 'bad.jsonl'), `${rows[0]}\n{"prompt": "no answer"}\nnot json\n`);
    const bad = paretune(['tune', '--model', 'starter:over-user', '--task', 'bad.jsonl', '--steps', '1', '--json']);
    assert.equal(bad.json.error?.code, 'bad-data');
    assert.match(bad.json.error?.message ?? '', /2[\s\S]*3/);
    assert.equal(bad.code, 1);
  });

  test('mistakes are told with what was found, what is allowed and what to do', () => {
    const cases: [string[], number, RegExp][] = [
      [['tune', '--task', 'arithmetic', '--json'], 1, /model is missing/],
      [
        ['tune', '--model', 'starter:over-user', '--task', 'arithmetic', '--set', 'stps=3', '--json'],
        1,
        /nearest is steps/,
      ],
      [['tune', '--model', 'nowhere', '--task', 'arithmetic', '--json'], 1, /no model folder/],
      [['tune', '--model', 'starter:over-user', '--task', 'arithmetics', '--json'], 1, /There is no task/],
      [
        [
          'tune',
          '--model',
          'starter:over-user',
          '--task',
          'arithmetic',
          '--method',
          'hvg',
          '--set',
          'paretopo.beta=0.5',
          '--json',
        ],
        1,
        /paretopo.beta/,
      ],
      [
        ['tune', '--model', 'starter:over-user', '--task', 'arithmetic', '--price', 'python', '--json'],
        2,
        /tool=price/,
      ],
      [['frobnicate', '--json'], 2, /unknown command/],
      [['doctor', '--install-cuda', '.', '--json'], 1, /\.so are not in |on linux x64 only/],
      [['export', 'last', '--to', '.', '--json'], 2, /not empty/],
    ];
    for (const [args, code, message] of cases) {
      const { code: exit, json, out } = paretune(args);
      assert.match(json.error?.message ?? out, message);
      assert.equal(exit, code, `${args.join(' ')}: ${out}`);
    }
  });
});
