import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { parse } from 'yaml';
import { ParetuneError } from '../../src-main/contract/errors.ts';
import { matchShards, readShards, writeShard } from '../../src-main/study/shards.ts';
import { checkStudy, studyRuns } from '../../src-main/study/study-runs.ts';
import { plan, shardsOf, small } from './studies.ts';

function folderOf(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'paretune-shards-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

test('shards are read back as they were written, and the rest of the plan is missing', (t) => {
  const folder = folderOf(t);
  const shards = shardsOf(small, ({ seed }) => (seed === 0 ? { success: 1, cost: 1 } : null));
  for (const shard of shards.values()) writeShard(folder, shard);
  assert.deepEqual(new Map([...readShards(folder)].sort()), new Map([...shards].sort()));
  assert.match(readdirSync(folder).join(' '), /over_hvg_s0_[0-9a-f]{10}\.json/);
  const { done, missing, others } = matchShards(studyRuns(small), readShards(folder));
  assert.deepEqual([done.length, missing.length, others], [8, 12, 0]);
  assert.ok(missing.every(({ seed }) => seed > 0));
});

test('a study whose settings changed does not take the old runs for its own', (t) => {
  const folder = folderOf(t);
  for (const shard of shardsOf(small, () => ({ success: 1, cost: 1 })).values()) writeShard(folder, shard);
  const changed = checkStudy({ ...plan, base: { ...plan.base, steps: 5 } });
  const { done, others } = matchShards(studyRuns(changed), readShards(folder));
  assert.deepEqual([done.length, others], [0, 20]);
  assert.equal(readShards(join(folder, 'nowhere')).size, 0);
});

test('a file that is no shard, or whose settings were changed by hand, is refused by name', (t) => {
  const folder = folderOf(t);
  const [shard] = shardsOf(small, () => ({ success: 1, cost: 1 })).values();
  const cases: [string, RegExp][] = [
    ['{', /JSON/],
    ['{}', /format/],
    [JSON.stringify({ ...shard, config: { ...shard.config, steps: 400 } }), /hash/],
    [JSON.stringify({ ...shard, points: [] }), /points/],
  ];
  for (const [text, why] of cases) {
    writeFileSync(join(folder, 'a.json'), text);
    assert.throws(
      () => readShards(folder),
      (error: unknown) => error instanceof ParetuneError && error.code === 'bad-file' && why.test(error.message),
      text.slice(0, 40),
    );
  }
});

test("the shards in the repository are those of the study's runs, whatever has become a default since", () => {
  const studies = join(import.meta.dirname, '../../studies');
  const study = checkStudy(parse(readFileSync(join(studies, 'full.yaml'), 'utf8')));
  const { done, missing, others } = matchShards(studyRuns(study), readShards(join(studies, 'full.shards')));
  assert.deepEqual({ done: done.length, missing: missing.length, others }, { done: 344, missing: 0, others: 0 });
});
