/** Ctrl-C and death in the middle of a run, as a user causes them: real processes, the real engine. */
import assert from 'node:assert/strict';
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { after, before, describe, test } from 'node:test';

const main = join(import.meta.dirname, '..', '..', 'src-main', 'cli', 'main.ts');
const tiny = ['problemsPerStep=4', 'groupSize=4', 'trainProblems=16', 'selectionProblems=8', 'reportProblems=8'];
const tune = (steps: number) =>
  ['tune', '-m', 'starter:over-user', '-t', 'arithmetic', '--steps', String(steps), '--json'].concat(
    tiny.flatMap((setting) => ['--set', setting]),
  );

type Ended = { code: number | null; json: { error?: { code: string; hint: string }; status?: string; step?: number } };

let home = '';

class Paretune {
  readonly child: ChildProcessByStdio<null, Readable, Readable>;
  readonly ended: Promise<Ended>;
  out = '';
  err = '';

  constructor(args: string[]) {
    this.child = spawn(process.execPath, [main, ...args, '--data', home], { stdio: ['ignore', 'pipe', 'pipe'] });
    this.child.stdout.setEncoding('utf8').on('data', (text) => {
      this.out += text;
    });
    this.child.stderr.setEncoding('utf8').on('data', (text) => {
      this.err += text;
    });
    this.ended = new Promise((done) => {
      this.child.on('close', (code) => done({ code, json: this.out === '' ? {} : JSON.parse(this.out) }));
    });
  }

  /** waits for words on standard error */
  async says(words: RegExp): Promise<void> {
    while (!words.test(this.err)) {
      assert.equal(this.child.exitCode, null, `it ended without saying ${words}: ${this.err}`);
      await new Promise((done) => setTimeout(done, 30));
    }
  }
}

describe('a run that is interrupted', { concurrency: false, timeout: 10 * 60_000 }, () => {
  before(() => {
    home = mkdtempSync(join(tmpdir(), 'paretune-interrupt-'));
  });
  after(() => rmSync(home, { recursive: true, force: true }));

  test('the first Ctrl-C finishes the step and saves; resume goes on from there', async () => {
    const run = new Paretune(tune(500));
    await run.says(/step [1-9]\d*\/500/);
    run.child.kill('SIGINT');
    const { code, json } = await run.ended;
    assert.equal(code, 0, run.err);
    assert.equal(json.status, 'stopped');
    assert.match(run.err, /Finishing the step and saving/);
    const step = json.step ?? 0;
    assert.ok(step >= 1 && step < 500, `stopped after step ${step}`);

    const again = new Paretune(['resume', 'last', '--json']);
    await again.says(new RegExp(`goes on from step ${step}`));
    await again.says(/step \d+\/500/);
    again.child.kill('SIGINT');
    const more = await again.ended;
    assert.equal(more.json.status, 'stopped');
    assert.ok((more.json.step ?? 0) >= step);
  });

  test('the second Ctrl-C stops at once, and says how to go on', async () => {
    // steps long enough that the second Ctrl-C comes in the middle of one
    const run = new Paretune([...tune(500), '--set', 'problemsPerStep=128']);
    await run.says(/step [1-9]\d*\/500/);
    run.child.kill('SIGINT');
    await run.says(/Finishing the step/);
    run.child.kill('SIGINT');
    const { code, json } = await run.ended;
    assert.equal(code, 1);
    assert.equal(json.error?.code, 'interrupted');
    assert.match(json.error?.hint ?? '', /paretune resume arithmetic-2/);
  });

  test('an evaluation that is stopped says so, and is no fault', async () => {
    const run = new Paretune(['eval', '-m', 'starter:over-user', '-t', 'arithmetic', '--problems', '20000', '--json']);
    await run.says(/evaluating/);
    run.child.kill('SIGTERM');
    const { code, json } = await run.ended;
    assert.equal(code, 1);
    assert.equal(json.error?.code, 'interrupted', run.out);
  });
});
