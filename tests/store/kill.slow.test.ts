import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import Database from 'better-sqlite3';
import { randomStream } from '../../src-main/engine/base/random.ts';
import { hashTensors, loadCheckpoint } from '../../src-main/engine/train/checkpoint.ts';
import { databasePath, openStore, runFolder } from '../../src-main/store/open-store.ts';
import { contentOf, everySteps, tensorFiles } from './kill-child.ts';
import { stepEvent } from './samples.ts';

const folder = mkdtempSync(join(tmpdir(), 'paretune-kill-'));
after(() => rmSync(folder, { recursive: true }));
const kills = 20;
const groups = 8;

/** Runs the child until it has said that many lines and then a moment, kills it, and returns all that it had said. */
async function runAndKill(afterLines: number, thenMs: number): Promise<string[]> {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'kill-child.ts'), folder], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let said = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  while (said.split('\n').length <= afterLines) await once(child.stdout, 'data');
  await setTimeout(thenMs);
  child.kill('SIGKILL');
  const [code, signal] = await once(child, 'close');
  assert.deepEqual([code, signal], [null, 'SIGKILL'], 'it died of the kill and of nothing else');
  return said.split('\n').slice(0, -1);
}

/** The largest number of the lines of a kind; 0 where there are none. */
function last(lines: string[], kind: string): number {
  return Math.max(0, ...lines.filter((line) => line.startsWith(`${kind} `)).map((line) => Number(line.split(' ')[1])));
}

test(`${kills} kills at random moments: no damage, no torn step, nothing acknowledged is lost, every checkpoint loads`, async (context) => {
  const random = randomStream(4, 'kill');
  let stepsSeen = 0;
  let afterCheckpoint = 0;
  for (let round = 0; round < kills; round++) {
    const lines = await runAndKill(random.int(1, 16), random.next() * 15);
    assert.ok(existsSync(join(folder, 'writer.json')), 'it did not close in order');
    const store = openStore(folder, { mode: 'write' });
    const db = new Database(databasePath(folder), { readonly: true });
    assert.equal(db.pragma('integrity_check', { simple: true }), 'ok');
    assert.deepEqual(db.pragma('foreign_key_check'), []);
    // every step that anything is known of has all its groups and trajectories, superseded or not
    const torn = db
      .prepare(
        `SELECT event_key FROM events WHERE kind = 'step' AND
           (SELECT count(*) FROM groups JOIN trajectories USING (group_key) WHERE groups.event_key = events.event_key) <> ?`,
      )
      .all(groups * 8);
    assert.deepEqual(torn, []);
    assert.equal(
      db.prepare('SELECT count(*) FROM trajectories').pluck().get(),
      db.prepare('SELECT count(*) FROM trajectory_search').pluck().get(),
    );
    db.close();

    const steps = store.steps('r').map(({ step }) => step);
    assert.deepEqual(
      steps,
      steps.map((_, i) => i + 1),
      'no gap, none twice',
    );
    assert.ok(steps.length >= last(lines, 'step'), `acknowledged ${last(lines, 'step')}, found ${steps.length}`);
    for (const step of [1, steps.length].filter((one) => one > 0 && one <= steps.length)) {
      assert.deepStrictEqual(store.readStep('r', step), stepEvent('r', step, groups, 8).groups);
    }
    const checkpoints = store.checkpoints('r').map(({ checkpoint }) => checkpoint);
    assert.ok((checkpoints.at(-1)?.step ?? 0) >= last(lines, 'checkpoint'), 'an acknowledged checkpoint is lost');
    for (const checkpoint of checkpoints) {
      const loaded = loadCheckpoint(join(runFolder(folder, 'r'), checkpoint.folder), tensorFiles);
      assert.deepEqual(loaded.record, checkpoint);
      assert.equal(hashTensors(loaded.moments.second), hashTensors(contentOf(checkpoint.step).moments.second));
    }
    assert.equal(store.getRun('r').status, 'stopped');
    stepsSeen += lines.filter((line) => line.startsWith('step ')).length;
    if (steps.length % everySteps !== 0) afterCheckpoint++;
    store.close();
  }
  const store = openStore(folder, { mode: 'read' });
  const attempts = store.getRun('r').attempts.length;
  const superseded = store.steps('r', { superseded: true }).length - store.steps('r').length;
  store.close();
  context.diagnostic(`${stepsSeen} steps, ${attempts} attempts, ${superseded} superseded steps kept`);
  assert.equal(attempts, kills);
  assert.ok(stepsSeen > 20 && afterCheckpoint > 3 && superseded > 0, 'the kills hit work in progress');
});
