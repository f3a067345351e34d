/**
 * `npm run bench -- pareto`: the Pareto mathematics beside moocore and pymoo, the same points in the same run: hypervolume for 2
 * to 5 objectives and 100 to 10,000 points, the non-dominated sort of 10,000, an archive filled one by one. Values must be equal
 * (hypervolume to 1e-9 of its size, ranks and members exactly): the command ends in an error where they are not. Peers live in the
 * environment that PARETUNE_PEERS names (scripts/make-peers.sh); without it there is no second column and nothing to be equal to.
 *
 *   npm run bench -- pareto [--json] [--rounds 5] [--largest 10000]
 *
 * One process a side and round, ours and the peers' in turn. Within it a work is repeated until a batch takes 50 ms of the thread's
 * CPU time; the median of three more batches is the round's. Reported: the median over rounds, the largest over the smallest.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { python } from '../python-peers.ts';
import { randomStream } from '../../src-main/engine/base/random.ts';
import { insertBy } from '../../src-main/engine/pareto/archive.ts';
import { hypervolume } from '../../src-main/engine/pareto/hypervolume.ts';
import { nonDominatedSort } from '../../src-main/engine/pareto/non-dominated-sort.ts';

/** `sphere`: no point dominates another. `uniform`: in the unit cube. */
type Work = {
  kind: 'hypervolume' | 'sort' | 'archive';
  shape: 'sphere' | 'uniform';
  m: number;
  n: number;
  file: string;
};
type Value = number | number[];
type Measured = { peer: string; seconds: number; value: Value };

const { values: options } = parseArgs({
  allowPositionals: true,
  options: {
    json: { type: 'boolean', default: false },
    rounds: { type: 'string', default: '5' },
    largest: { type: 'string', default: '10000' },
    run: { type: 'string' },
  },
});

if (options.run !== undefined) console.log(JSON.stringify(ourSide(JSON.parse(readFileSync(options.run, 'utf8')))));
else compare();

/** All rounds of both sides, then the table. */
function compare(): void {
  const folder = mkdtempSync(join(tmpdir(), 'paretune-bench-'));
  try {
    const works = writeWorks(folder, Number(options.largest));
    const plan = join(folder, 'plan.json');
    writeFileSync(plan, JSON.stringify(works));
    const ours: Measured[][][] = [];
    const theirs: Measured[][][] = [];
    for (let round = 0; round < Number(options.rounds); round++) {
      ours.push(side(process.execPath, [import.meta.filename, '--run', plan]));
      if (python) theirs.push(side(python, [join(import.meta.dirname, 'peers', 'pareto.py'), plan]));
      console.error(`round ${round + 1} of ${options.rounds} measured`);
    }
    const rows = works.flatMap((work, w) =>
      rowsOf(
        work,
        ours.map((round) => round[w][0]),
        theirs.map((round) => round[w]),
      ),
    );
    if (options.json)
      console.log(JSON.stringify({ node: process.version, rounds: Number(options.rounds), rows }, null, 1));
    else printTable(rows);
    const wrong = rows.filter(({ equal }) => equal === false);
    if (wrong.length > 0)
      throw new Error(`not equal: ${wrong.map(({ name, peer }) => `${name} (${peer})`).join(', ')}`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The works, with their points as float64 in a file each. */
function writeWorks(folder: string, largest: number): Work[] {
  const volumes = [2, 3, 4, 5].flatMap((m) =>
    [100, 1000, 10_000].map((n) => ({ kind: 'hypervolume', shape: 'sphere', m, n }) as const),
  );
  const sorts = [2, 3, 5].map((m) => ({ kind: 'sort', shape: 'uniform', m, n: 10_000 }) as const);
  const archives = [2, 3, 5].map((m) => ({ kind: 'archive', shape: 'uniform', m, n: 1000 }) as const);
  return [...volumes, ...sorts, ...archives]
    .filter(({ n }) => n <= largest)
    .map((work) => {
      const { kind, shape, m, n } = work;
      const random = randomStream(7, kind, m, n);
      const file = join(folder, `${kind}-${m}-${n}.f64`);
      const points = new Float64Array(n * m);
      for (let at = 0; at < n * m; at += m) {
        const point = Array.from({ length: m }, () => (shape === 'sphere' ? Math.abs(random.normal()) : random.next()));
        const length = shape === 'sphere' ? Math.hypot(...point) : 1;
        points.set(
          point.map((value) => value / length),
          at,
        );
      }
      writeFileSync(file, points);
      return { ...work, file };
    });
}

/** For each work what each program of a side measured. */
function side(program: string, args: string[]): Measured[][] {
  const text = execFileSync(program, args, { encoding: 'utf8', maxBuffer: 1e9, stdio: ['ignore', 'pipe', 'inherit'] });
  return JSON.parse(text.trim().split('\n').at(-1)!) as Measured[][];
}

function ourSide(works: Work[]): Measured[][] {
  return works.map(({ kind, m, n, file }) => {
    const flat = new Float64Array(new Uint8Array(readFileSync(file)).buffer);
    const points = Array.from({ length: n }, (_, i) => Array.from(flat.subarray(i * m, (i + 1) * m)));
    const origin = new Array<number>(m).fill(0);
    const work: Record<Work['kind'], () => Value> = {
      hypervolume: () => hypervolume(points, origin),
      sort: () => nonDominatedSort(points),
      archive: () => {
        let members: readonly number[] = [];
        for (let i = 0; i < n; i++) members = insertBy(members, i, (at) => points[at]);
        return [...members];
      },
    };
    return [{ peer: 'ours', ...timed(work[kind]) }];
  });
}

/** The median of three batches, each long enough for the clock (its ticks are of milliseconds), a run of the work each. */
function timed(work: () => Value): { seconds: number; value: Value } {
  const value = work();
  let runs = 1;
  const batch = () => {
    const from = cpuSeconds();
    for (let i = 0; i < runs; i++) work();
    return cpuSeconds() - from;
  };
  while (batch() < 0.05) runs *= 2;
  return { seconds: middle([batch(), batch(), batch()]) / runs, value };
}

/** Of this thread alone: both sides compute in one, and waiting for a busy machine is nobody's merit. */
function cpuSeconds(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1e6;
}

type Row = {
  name: string;
  peer: string | null;
  oursMs: number;
  peerMs: number | null;
  /** above 1: ours takes less time */
  ratio: number | null;
  /** largest over smallest of the rounds, ours and the peer's */
  spread: [number, number | null];
  equal: boolean | null;
};

/** A row for each peer of a work; one without a peer where there is none. */
function rowsOf({ kind, shape, m, n }: Work, ours: Measured[], theirs: Measured[][]): Row[] {
  const name = `${kind}, ${m} objectives, ${n} points (${shape})`;
  const own = ours.map(({ seconds }) => 1000 * seconds);
  const row = { name, oursMs: middle(own) };
  if (theirs.length === 0)
    return [{ ...row, peer: null, peerMs: null, ratio: null, spread: [spread(own), null], equal: null }];
  return theirs[0].map(({ peer }, p) => {
    const other = theirs.map((round) => 1000 * round[p].seconds);
    return {
      ...row,
      peer,
      peerMs: middle(other),
      ratio: middle(other) / middle(own),
      spread: [spread(own), spread(other)],
      equal: same(ours[0].value, theirs[0][p].value),
    };
  });
}

function same(a: Value, b: Value): boolean {
  if (typeof a === 'number' && typeof b === 'number') return Math.abs(a - b) <= 1e-9 * Math.abs(b);
  return JSON.stringify(a) === JSON.stringify(b);
}

function middle(list: readonly number[]): number {
  return [...list].sort((a, b) => a - b)[list.length >> 1];
}

function spread(list: readonly number[]): number {
  return Math.max(...list) / Math.min(...list);
}

function printTable(rows: Row[]): void {
  const titles = ['work', 'ours', 'peer', 'peer is', 'ratio', 'spread', 'equal'];
  const cells = rows.map((row) => [
    row.name,
    `${row.oursMs.toPrecision(3)} ms`,
    row.peerMs === null ? '' : `${row.peerMs.toPrecision(3)} ms`,
    row.peer ?? 'not measured',
    row.ratio === null ? '' : `${row.ratio.toPrecision(2)}x`,
    row.spread.map((one) => one?.toFixed(2) ?? '').join(' / '),
    row.equal === null ? '' : row.equal ? 'yes' : 'NO',
  ]);
  const widths = titles.map((title, i) => Math.max(title.length, ...cells.map((line) => line[i].length)));
  for (const line of [titles, ...cells])
    console.log(
      line
        .map((cell, i) => cell.padEnd(widths[i]))
        .join('  ')
        .trimEnd(),
    );
}
