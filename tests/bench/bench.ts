/**
 * `npm run bench`: our engine beside what people use today, the same work on the same shapes and threads, one process a
 * measurement, ours and the peer's in turn, and the starter agent's step by part. Peers are Python programs in a virtual
 * environment named by PARETUNE_PEERS (scripts/make-peers.sh makes it); without it their cells stay empty.
 *
 *   npm run bench -- [--json] [--rounds 3] [--threads 2] [--shape small,starter,135M] [--only REGEX]
 *   npm run bench -- pareto        the Pareto mathematics beside moocore and pymoo: pareto.ts
 */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { python } from '../python-peers.ts';

if (process.argv[2] === 'pareto') {
  await import('./pareto.ts');
  process.exit();
}

const { values: options } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    rounds: { type: 'string', default: '3' },
    shape: { type: 'string', default: 'small,starter,135M' },
    only: { type: 'string', default: '' },
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

const here = import.meta.dirname;
if (python && !existsSync(python))
  throw new Error(`PARETUNE_PEERS is ${process.env.PARETUNE_PEERS}, but ${python} does not exist`);

/** One measurement: what our program does, the peer's script with what it needs more, and the number of interest. */
type Work = { name: string; unit: Row['unit']; ours: string[]; peer: string[]; more?: string[] };

/** Weights that training leaves alone are kept prepacked in the decoding session, as a run does. */
const frozen = ['--frozen', '1'];
const adapter = ['--lora', '16', ...frozen];
const prefill: Work = {
  name: 'prefill, 8 prompts of 256',
  unit: 'tokens/s',
  ours: ['prefill'],
  peer: ['llama_decode.py'],
  more: ['--prompts', '8', '--group', '1', '--prompt-len', '256', '--new-tokens', '1'],
};
const batchOf = (prompts: number, group: number) => ['--prompts', String(prompts), '--group', String(group)];
const generate = (sequences: number, group: number, { ours = [] as string[], kind = '' } = {}): Work[] =>
  [
    { peer: ['llama_decode.py'], peerName: 'llama.cpp' },
    { peer: ['transformers_generate.py'], peerName: 'transformers' },
  ].map(({ peer, peerName }) => ({
    name: `rollout${kind}, batch ${sequences}, ${peerName}`,
    unit: 'tokens/s',
    ours: ['generate', ...ours],
    peer,
    more: batchOf(sequences / group, group),
  }));
/** A file in 4 bits, which llama.cpp multiplies by as it is and Paretune as the float32 numbers that it stands for. */
const fourBits = (sequences: number): Work => ({
  name: `rollout of a 4-bit file, batch ${sequences}, llama.cpp`,
  unit: 'tokens/s',
  ours: ['generate', ...frozen],
  peer: ['llama_decode.py', 'q4_0'],
  more: batchOf(sequences / 8, 8),
});
/** Of weights that no training changes between the runs; elsewhere they are read anew each time. */
const fixed = { ours: frozen, kind: ' of fixed weights' };
const shapes: Record<string, { size: string[]; batch: string[]; works: Work[] }> = {
  small: {
    size: ['--hidden', '192', '--layers', '6', '--heads', '6', '--kv', '3', '--ff', '512', '--vocab', '512'],
    batch: [...batchOf(8, 8), '--prompt-len', '32', '--new-tokens', '64'],
    works: [
      { name: 'GRPO step', unit: 's/step', ours: ['step'], peer: ['trl_grpo.py'] },
      { name: 'training step', unit: 's/step', ours: ['train'], peer: ['torch_train_step.py'] },
      ...generate(1, 1),
      ...generate(16, 8),
      ...generate(64, 8),
      ...generate(16, 8, fixed),
      ...generate(64, 8, fixed),
      prefill,
    ],
  },
  starter: {
    size: ['--hidden', '96', '--layers', '3', '--heads', '4', '--kv', '4', '--ff', '192', '--vocab', '677'],
    batch: [...batchOf(8, 8), '--prompt-len', '32', '--new-tokens', '64'],
    works: [
      { name: 'GRPO step', unit: 's/step', ours: ['step'], peer: ['trl_grpo.py'] },
      { name: 'training step', unit: 's/step', ours: ['train'], peer: ['torch_train_step.py'] },
      ...generate(64, 8),
    ],
  },
  '135M': {
    size: ['--hidden', '576', '--layers', '30', '--heads', '9', '--kv', '3', '--ff', '1536', '--vocab', '49152'],
    batch: [...batchOf(2, 8), '--prompt-len', '64', '--new-tokens', '40', '--steps', '3'],
    works: [
      {
        name: 'GRPO step, LoRA 16',
        unit: 's/step',
        ours: ['step', ...adapter],
        peer: ['trl_grpo.py'],
        more: ['--lora', '16'],
      },
      {
        name: 'training step, LoRA 16',
        unit: 's/step',
        ours: ['train', ...adapter],
        peer: ['torch_train_step.py'],
        more: ['--lora', '16'],
      },
      ...generate(1, 1, fixed),
      ...generate(16, 8, fixed),
      ...generate(64, 8, fixed),
      fourBits(16),
      fourBits(64),
      prefill,
    ],
  },
};

const rows: Row[] = [];
for (const [shape, { size, batch, works }] of Object.entries(shapes)) {
  if (!options.shape.split(',').includes(shape)) continue;
  for (const work of works)
    if (new RegExp(options.only).test(work.name)) rows.push(measure(shape, [...size, ...batch], work));
}
if (options.json)
  console.log(JSON.stringify({ threads: Number(options.threads), node: process.version, rows }, null, 1));
else printTable();

/** Ours and the peer's in turn, as often as asked. A peer that fails is an empty cell, told on standard error. */
function measure(shape: string, common: string[], { name, unit, ours, peer: theirs, more = [] }: Work): Row {
  const args = [...common, ...more, '--threads', options.threads];
  const mine: Report[] = [];
  const other: Report[] = [];
  for (let round = 0; round < Number(options.rounds); round++) {
    mine.push(run(process.execPath, [join(here, 'ours.ts'), ...ours, ...args]));
    if (python) other.push(...peerReport(python, [join(here, 'peers', theirs[0]), ...theirs.slice(1), ...args]));
  }
  const read = (report: Report) => (unit === 's/step' ? report.step_s : report.tokens_per_s) as number;
  const own = numbers(mine.map(read));
  const peer = other.length > 0 ? numbers(other.map(read)) : null;
  const ratio = peer === null ? null : unit === 's/step' ? peer.median / own.median : own.median / peer.median;
  console.error(`${shape}: ${name} measured`);
  return {
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
  };
}

function peerReport(program: string, args: string[]): Report[] {
  try {
    return [run(program, args)];
  } catch (error) {
    console.error(`the peer ${args[0]} failed: ${(error as Error).message.split('\n')[0]}`);
    return [];
  }
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
    r.peerName ?? 'not measured',
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
