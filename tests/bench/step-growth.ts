/**
 * `npm run bench:step-growth`: how the cost of a step grows with its trajectories, their length, the model and the tools that are
 * described to it: CPU time (other programs do not count) of rollouts and of one update, a process a measurement
 * (tests/bench/ours.ts, one thread), with the exponent of a power law fitted to each. Nothing is quadratic by surprise: attention
 * is, in the length.
 *
 *   npm run bench:step-growth -- [--steps 3] [--to docs/growth-step.md]
 */
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { basename, join } from 'node:path';
import { parseArgs } from 'node:util';
import { chartPanels } from '../../src-main/study/chart-panels.ts';
import { powerTable, type Row } from './power-law.ts';

const { values: options } = parseArgs({
  options: { steps: { type: 'string', default: '3' }, to: { type: 'string', default: 'docs/growth-step.md' } },
});

type Flags = Record<string, number>;
type Series = { title: string; means: string; unit: string; sizes: number[]; flags(size: number): Flags };

/** Tokens of a tool's description, about what the template of a small instruction model makes of one. */
const TOOL_TOKENS = 60;
const usual = { prompts: 4, group: 8, 'prompt-len': 32, 'new-tokens': 64 };
const shapes: Flags[] = [
  { hidden: 96, layers: 4, heads: 4, kv: 2, ff: 256 },
  { hidden: 192, layers: 6, heads: 6, kv: 3, ff: 512 },
  { hidden: 384, layers: 8, heads: 6, kv: 3, ff: 1024 },
];

const series: Series[] = [
  {
    title: 'With the trajectories of a step',
    means: 'Groups of eight, prompts of 32 tokens, 64 sampled; a model of 2.5 million parameters.',
    unit: 'trajectories',
    sizes: [8, 32, 128],
    flags: (count) => ({ ...usual, prompts: count / 8 }),
  },
  {
    title: 'With their length',
    means: 'Sampled tokens of each of 16 trajectories. Every new token looks at all before it.',
    unit: 'tokens',
    sizes: [32, 128, 512],
    flags: (tokens) => ({ ...usual, prompts: 2, 'new-tokens': tokens }),
  },
  {
    title: 'With the model',
    means: 'Parameters, all of them trained; 32 trajectories.',
    unit: 'parameters',
    sizes: shapes.map((_, i) => i),
    flags: (i) => ({ ...usual, ...shapes[i] }),
  },
  {
    title: 'With the tools',
    means: `Tools described at the beginning of every prompt, ${TOOL_TOKENS} tokens each; 32 trajectories.`,
    unit: 'tools',
    sizes: [1, 4, 16],
    flags: (tools) => ({ ...usual, shared: tools * TOOL_TOKENS, 'prompt-len': tools * TOOL_TOKENS + 16 }),
  },
];

const parts = { generate: 'rollouts', train: 'one update' } as const;

function measure(what: keyof typeof parts, flags: Flags): { ms: number; parameters: number } {
  const args = Object.entries({ ...flags, steps: Number(options.steps), threads: 1 }).flatMap(([name, value]) => [
    `--${name}`,
    String(value),
  ]);
  const ours = join(import.meta.dirname, 'ours.ts');
  const { status, stdout, stderr } = spawnSync(process.execPath, [ours, what, ...args], { encoding: 'utf8' });
  if (status !== 0) throw new Error(stderr);
  const { cpu_s, params } = JSON.parse(stdout) as { cpu_s: number; params: number };
  return { ms: 1000 * cpu_s, parameters: params };
}

const measured = series.map(({ sizes, unit, flags, ...about }) => {
  const at = [...sizes];
  const rows = (Object.keys(parts) as (keyof typeof parts)[]).map((what): Row => {
    const ms = sizes.map((size, i) => {
      const found = measure(what, flags(size));
      if (unit === 'parameters') at[i] = found.parameters;
      console.error(`${parts[what]}, ${at[i].toLocaleString('en')} ${unit}: ${found.ms.toFixed(0)} ms`);
      return found.ms;
    });
    return { name: parts[what], ms };
  });
  return { ...about, unit, at, rows };
});

const figure = `${basename(options.to, '.md')}.svg`;
const panels = measured.map(({ title, unit, at, rows }) => ({
  title,
  xLabel: `log10 of the ${unit}`,
  yLabel: 'log10 of CPU ms',
  lines: rows.map(({ name, ms }) => ({ name, points: ms.map((y, i) => ({ x: Math.log10(at[i]), y: Math.log10(y) })) })),
}));
writeFileSync(join(options.to, '..', figure), chartPanels('Growth of a step', panels));
const sections = measured.map(
  ({ title, means, at, rows }) =>
    `## ${title}\n\n${means}\n\n${powerTable(['', ...at.map((size) => size.toLocaleString('en'))], rows, at)}`,
);
writeFileSync(
  options.to,
  `# Growth of a step

Made by \`npm run bench:step-growth\`; CPU milliseconds on ${cpus()[0].model}, one thread, Node ${process.version}, medians of ${options.steps} steps. The exponent
b is that of a size^b fitted to the row: 1 is linear. How each is measured: [tests/bench/step-growth.ts](../tests/bench/step-growth.ts).
With trajectories logged and with objectives: [growth.md](growth.md).

![CPU time of a step against its size](${figure})

${sections.join('\n\n')}
`,
);
console.error(`written to ${options.to}`);
