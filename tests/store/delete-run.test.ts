import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { databasePath, openStore } from '../../src-main/store/open-store.ts';
import { problem, sampleTrajectory, started, stepEvent } from './samples.ts';

const secret = 'xylophonequartz';

function bytesOf(path: string): string {
  return ['', '-wal']
    .map((ending) => (existsSync(path + ending) ? readFileSync(path + ending, 'latin1') : ''))
    .join('');
}

test('a deleted run leaves no text in the file, gives its space back, and leaves the others whole', () => {
  const dataFolder = mkdtempSync(join(tmpdir(), 'paretune-store-'));
  const path = databasePath(dataFolder);
  const store = openStore(dataFolder, { mode: 'write' });
  for (const [run, word] of [
    ['kept', 'marmalade'],
    ['gone', secret],
  ]) {
    store.append(started(run));
    for (let step = 1; step <= 5; step++) {
      const asked = { ...problem(step), messages: [{ role: 'user' as const, content: `${word} question ${step}` }] };
      const trajectories = Array.from({ length: 8 }, (_, sample) => ({
        ...sampleTrajectory(step * 100 + sample, asked, sample, 400),
        answer: `the ${word} answer`,
      }));
      store.append({ ...stepEvent(run, step), groups: [{ problem: asked, trajectories }] });
    }
  }
  assert.equal(store.trajectories('gone', { search: secret }).rows.length, 40);
  assert.match(bytesOf(path), new RegExp(secret));
  const before = statSync(path).size + statSync(`${path}-wal`).size;
  store.deleteRun('gone');
  assert.doesNotMatch(bytesOf(path), new RegExp(secret));
  assert.ok(statSync(path).size < before, 'the file is smaller');
  assert.equal(store.trajectories('kept', { search: 'marmalade' }).rows.length, 40);
  store.close();
  assert.doesNotMatch(bytesOf(path), new RegExp(secret));
});
