/**
 * `npm run bench`: our engine beside what people use today, the same work on the same shapes and threads, one process a
 * measurement, ours and the peer's in turn, and the starter agent's step by part. Peers are Python programs in a virtual
 * environment named by PARETUNE_PEERS (scripts/make-peers.sh makes it); without it their cells stay empty.
 *
 *   npm run bench -- [--json] [--rounds 3] [--threads 2]
 */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

const { values: options } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    rounds: { type: 'string', default: '3' },
    threads: { type: 'string', default: String(Math.min(2, availableParallelism())) },
  },
});

type Report = Record<string, unknown> & { peer: string };
type Row = {
  name: string;
  shape: string;
  unit: 's/step' | 'tokens/s';
  ours: number;
  peer: number | null;
  peerName: string | null;
  /** above 1 is better for us */
  ratio: number | null;
  repetitions: number;
  /** largest over smallest, ours and the peer's */
  spread: [number, number | null];
  peakMb: [number, number | null];
};

const shapes = {
  small: ['--hidden', '192', '--layers', '6', '--heads', '6', '--kv', '3', '--ff', '512', '--vocab', '512'],
  starter: ['--hidden', '96', '--layers', '3', '--heads', '4', '--kv', '4', '--ff', '192', '--vocab', '677'],
};
const batch = ['--prompts', '8', '--group', '8', '--prompt-len', '32', '--new-tokens', '64'];
const here = import.meta.dirname;
const peers = process.env.PARETUNE_PEERS;
const python = peers ? join(peers, process.platform === 'win32' ? 'Scripts/python.exe' : 'bin/python') : null;
if (python && !existsSync(python)) throw new Error(`PARETUNE_PEERS is ${peers}, but ${python} does not exist`);

const rows: Row[] = [];
for (const [shape, size] of Object.entries(shapes)) {
  const work = [...size, ...batch, '--threads', options.threads];
  row(`GRPO step`, shape, 's/step', ['step', ...work], ['trl_grpo.py', ...work], (report) => report.step_s as number);
  row(
    'training step',
    shape,
    's/step',
    ['train', ...work],
    ['torch_train_step.py', ...work],
    (report) => report.step_s as number,
  );
  const generate = (report: Report) =>
    (report.tokens_per_s as number | undefined) ?? (report.batch_64 as { tokens_per_s: number }).tokens_per_s;
  row('rollout, batch 64', shape, 'tokens/s', ['generate', ...work], ['transformers_generate.py', ...work], generate);
}
if (options.json)
  console.log(JSON.stringify({ threads: Number(options.threads), node: process.version, rows }, null, 1));
else printTable();

function row(
  name: string,
  shape: string,
  unit: Row['unit'],
  ours: string[],
  theirs: string[],
  read: (report: Report) => number,
): void {
  const mine: Report[] = [];
  const other: Report[] = [];
  for (let round = 0; round < Number(options.rounds); round++) {
    mine.push(run(process.execPath, [join(here, 'ours.ts'), ...ours]));
    if (python) other.push(run(python, [join(here, 'peers', theirs[0]), ...theirs.slice(1)]));
  }
  const own = numbers(mine.map(read));
  const peer = other.length > 0 ? numbers(other.map(read)) : null;
  const ratio = peer === null ? null : unit === 's/step' ? peer.median / own.median : own.median / peer.median;
  rows.push({
    name,
    shape,
    unit,
    ours: own.median,
    peer: peer?.median ?? null,
    peerName: other[0]?.peer ?? null,
    ratio,
    repetitions: mine.length,
    spread: [own.spread, peer?.spread ?? null],
    peakMb: [peak(mine)!, peak(other)],
  });
  console.error(`${shape}: ${name} measured`);
}

function run(program: string, args: string[]): Report {
  const lines = execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
    .trim()
    .split('\n');
  return JSON.parse(lines[lines.length - 1]) as Report;
}

function numbers(list: number[]): { median: number; spread: number } {
  const sorted = [...list].sort((a, b) => a - b);
  return { median: sorted[sorted.length >> 1], spread: sorted[sorted.length - 1] / sorted[0] };
}

function peak(reports: Report[]): number | null {
  const known = reports.map((report) => report.peak_mb).filter((value) => typeof value === 'number');
  return known.length === 0 ? null : Math.max(...known);
}

function printTable(): void {
  const cells = rows.map((r) => [
    r.shape,
    r.name,
    `${r.ours.toPrecision(4)} ${r.unit}`,
    r.peer === null ? '' : `${r.peer.toPrecision(4)} ${r.unit}`,
    r.peerName ?? 'not measured (PARETUNE_PEERS)',
    r.ratio === null ? '' : `${r.ratio.toFixed(2)}x`,
    `${r.peakMb[0]} / ${r.peakMb[1] ?? ''} MB`,
  ]);
  const head = ['shape', 'work', 'ours', 'peer', 'peer is', 'ratio', 'peak memory'];
  const widths = head.map((title, i) => Math.max(title.length, ...cells.map((line) => line[i].length)));
  for (const line of [head, ...cells])
    console.log(
      line
        .map((cell, i) => cell.padEnd(widths[i]))
        .join('  ')
        .trimEnd(),
    );
}
