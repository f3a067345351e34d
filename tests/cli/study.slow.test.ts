/** `paretune study` as a user runs it: to its end, killed in the middle and started again, with two jobs. Real processes, the real engine. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { StudySummary } from '../../src-main/study/summarize.ts';

const root = join(import.meta.dirname, '..', '..');
const main = join(root, 'src-main', 'cli', 'main.ts');

/** Five short runs: a method with a state, one without, the third objective, one run of more steps. */
const small = {
  name: 'small',
  title: 'A study to interrupt',
  questions: { a: 'Is hvg above OTC?' },
  base: {
    steps: 3,
    problemsPerStep: 4,
    groupSize: 4,
    trainProblems: 16,
    selectionProblems: 16,
    reportProblems: 16,
    threads: 1,
    evaluation: { everySteps: 2 },
    checkpoint: { everySteps: 3, keepLast: 1 },
  },
  cells: { over: { model: 'starter:over-user', tasks: ['arithmetic-calculator'] } },
  methods: { hvg: { method: 'hvg' }, paretopo: { method: 'paretopo', steps: 4 } },
  variants: { three: { objectives: ['success', 'tool', 'length'], weights: [0.5, 0.3, 0.2] } },
  blocks: [
    { name: 'main', cells: ['over'], methods: ['paretopo', 'hvg'], seeds: [0, 1] },
    { name: 'three', cells: ['over'], methods: ['paretopo'], variants: ['three'], seeds: [0] },
  ],
  collapse: { below: 0.8, of: 'hvg' },
  tests: [
    {
      question: 'a',
      claim: 'hvg is above ParetoPO',
      metric: 'hypervolume',
      a: 'hvg',
      b: 'paretopo',
      alternative: 'greater',
      cells: ['over'],
    },
  ],
};

let folder = '';
let plan = '';

function start(file: string, name: string, ...more: string[]) {
  const own = (what: string) => join(folder, `${name}.${what}`);
  const args = [
    main,
    'study',
    file,
    '--shards',
    own('shards'),
    '--out',
    own('report'),
    '--data',
    own('home'),
    '--json',
  ];
  const child = spawn(process.execPath, [...args, ...more], { stdio: ['ignore', 'pipe', 'pipe'] });
  let out = '';
  let err = '';
  child.stdout.setEncoding('utf8').on('data', (text) => {
    out += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text) => {
    err += text;
  });
  const ended = new Promise<StudySummary & { report: string }>((done, failed) => {
    child.on('close', (code, signal) => {
      if (code === 0) done(JSON.parse(out));
      else failed(new Error(`${signal ?? code}: ${out}${err}`));
    });
  });
  return { child, ended, shards: own('shards') };
}

/** What a study leaves behind, without what only says how long it took and where it lies. */
function outcome(summary: StudySummary, shards: string) {
  const { cpuHours, hours, report, shards: _, ...told } = summary as StudySummary & { report: string; shards: string };
  assert.ok(cpuHours > 0 && hours > 0 && existsSync(report));
  const files = readdirSync(shards).sort();
  const kept = files.map((file) => {
    const { seconds, cpuSeconds, ...rest } = JSON.parse(readFileSync(join(shards, file), 'utf8'));
    assert.ok(seconds > 0 && cpuSeconds > 0);
    return rest;
  });
  return { told, files, kept };
}

describe('a study', { concurrency: false, timeout: 10 * 60_000 }, () => {
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'paretune-study-'));
    plan = join(folder, 'small.json');
    writeFileSync(plan, JSON.stringify(small));
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  test('that was killed in the middle and started again, and one with two jobs, end like one that was left alone', async () => {
    const alone = start(plan, 'alone');
    const expected = outcome(await alone.ended, alone.shards);
    assert.equal(expected.files.length, 5);
    assert.equal(expected.told.tests[0].n, 2);

    const killed = start(plan, 'killed');
    const died = assert.rejects(killed.ended, /SIGKILL/);
    const made = () =>
      existsSync(killed.shards) ? readdirSync(killed.shards).filter((name) => !name.startsWith('.')) : [];
    while (made().length < 2 && killed.child.exitCode === null) await new Promise((done) => setTimeout(done, 20));
    killed.child.kill('SIGKILL');
    await died;
    const before = made();
    assert.ok(before.length >= 2 && before.length < 5, `${before.length} shards when it was killed`);
    const early = await start(plan, 'killed', '--report').ended;
    const verdict = before.length < 4 ? 'not yet' : expected.told.tests[0].verdict;
    assert.deepEqual([early.runs.done, early.tests[0].verdict], [before.length, verdict]);
    const again = start(plan, 'killed');
    assert.deepEqual(outcome(await again.ended, again.shards), expected);

    const two = start(plan, 'two', '--jobs', '2');
    assert.deepEqual(outcome(await two.ended, two.shards), expected);
  });

  test('studies/tiny.yaml, with three objectives among its runs, ends in a whole report', async () => {
    const tiny = start(join(root, 'studies', 'tiny.yaml'), 'tiny', '--jobs', '2');
    const summary = await tiny.ended;
    assert.deepEqual([summary.runs.done, summary.missing, summary.warnings], [14, [], []]);
    assert.ok(summary.tests.every(({ n, planned, p }) => n === planned && p !== null));
    const three = summary.tables.find(({ variant }) => variant === 'three')!;
    for (const { method, metrics, groups } of three.rows) {
      const { success, cost, responseLength, hypervolumeThree } = metrics;
      assert.ok(hypervolumeThree!.mean > 0 && hypervolumeThree!.mean < 1, method);
      const byHand = success!.mean * (1 - cost!.mean / three.costLimit) * (1 - responseLength!.mean / 160);
      assert.ok(Math.abs(hypervolumeThree!.mean - byHand) < 1e-12, method);
      if (method !== 'start') assert.ok(groups.spreadLength! > 0, `${method}: groups differ in length`);
    }
    const report = readFileSync(summary.report, 'utf8');
    assert.doesNotMatch(report, /NaN|undefined|Not yet run/);
    for (const [, name] of report.matchAll(/\]\(([^)]+\.svg)\)/g)) {
      const svg = readFileSync(join(summary.report, '..', name), 'utf8');
      assert.match(svg, /<path class="line"/, name);
      assert.doesNotMatch(svg, /NaN|undefined|nothing measured/, name);
    }
  });
});
