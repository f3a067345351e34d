/** A study's summary as Markdown with figures: what was asked, what was run, what came out, what was not run. No clock, no chance. */
import type { StepNumber, StudyMetric } from '../contract/study.ts';
import { chartPanels, type ChartPanel } from './chart-panels.ts';
import type { PlannedTest } from './test-family.ts';
import { paperTable } from './paper.ts';
import type { Duel, Estimate, MethodRow, StudySummary, Table } from './summarize.ts';

/** Files of the report by name: `report.md` and the SVG figures beside it. `command` is what made it. */
export function reportFiles(summary: StudySummary, command: string): Map<string, string> {
  const figures = new Map<string, string>();
  const parts = [
    heading(summary, command),
    questions(summary),
    ...summary.tables.map((table) => section(table, summary, figures)),
    duels(summary.duels, summary.tie),
    paper(summary.tables),
  ];
  return new Map([['report.md', `${parts.filter((part) => part !== '').join('\n\n')}\n`], ...figures]);
}

function heading(summary: StudySummary, command: string): string {
  const { runs, notRun, cpuHours, commits, machines, versions, warnings } = summary;
  const open = notRun.filter(({ planned, done }) => done < planned);
  const complete = runs.done === runs.planned;
  return [
    `# ${summary.title}`,
    `Made by \`${command}\`: **${runs.done} of ${runs.planned} planned runs**, ${cpuHours.toFixed(1)} CPU hours. ${
      complete ? 'All that was planned was run.' : 'The rest was not run; every number says how many seeds it rests on.'
    }`,
    open.length === 0
      ? ''
      : `Not yet run: ${open.map(({ block, planned, done }) => `${block} ${planned - done} of ${planned}`).join(', ')}.`,
    runs.otherSettings === 0
      ? ''
      : `${runs.otherSettings} shards of other settings lie in the folder and are not used.`,
    commits.length === 0
      ? ''
      : `Commits: ${commits.join(', ')}. Machines: ${machines.join('; ')}. ${versions.join('; ')}.`,
    ...warnings.map((warning) => `**${warning}**`),
    'Success, cost, calls, length and final hypervolume are of the last policy on report problems, which nothing was chosen on, sampled at temperature 1 unless they say greedy. Frontier numbers are of all policies evaluated on selection problems. Intervals are 95 % (Student) over seeds; one seed has none. `start` is the supervised agent before any reinforcement (TIR).',
  ]
    .filter((line) => line !== '')
    .join('\n\n');
}

function questions({ questions: asked, tests }: StudySummary): string {
  if (tests.length === 0) return '';
  const parts = Object.entries(asked).map(([key, question]) => {
    const own = tests.filter((test) => test.question === key);
    const lines = own.map(
      (test) =>
        `| ${test.claim} | ${test.cell}${test.variant === 'default' ? '' : `, ${test.variant}`} | ${test.n} | ${difference(test)} | ${number(test.p, 4)} | ${number(test.pHolm, 4)} | ${test.verdict} |`,
    );
    return `### (${key}) ${question}\n\n${head('claim', 'cell', 'n', 'difference (95 %)', 'p', 'p (Holm)', 'verdict')}\n${lines.join('\n')}`;
  });
  const made = tests.filter(({ p }) => p !== null).length;
  return `## The questions\n\nPaired Student tests over seeds, ${made} of ${tests.length} planned made; Holm's correction counts all ${tests.length}. *shown*: corrected p below 0.05; *against*: the interval lies wholly on the other side; *open*: neither. The difference is a - factor b - margin as the plan defines it.\n\n${parts.join('\n\n')}`;
}

function difference({ metric, difference: value, low, high }: PlannedTest): string {
  if (value === null || low === null || high === null) return '-';
  return `${metric} ${signed(value)} (${signed(low)} to ${signed(high)})`;
}

const columns: [title: string, metric: StudyMetric, digits: number][] = [
  ['success', 'success', 3],
  ['cost', 'cost', 2],
  ['calls', 'calls', 2],
  ['success / calls', 'successesPerCall', 2],
  ['length', 'responseLength', 1],
  ['hypervolume', 'hypervolume', 3],
  ['steep axis', 'hypervolumeSteep', 3],
  ['three axes', 'hypervolumeThree', 3],
  ['frontier', 'frontierHypervolume', 3],
  ['area', 'frontierArea', 3],
  ['greedy success', 'greedySuccess', 3],
  ['greedy calls', 'greedyCalls', 2],
];

function section(table: Table, { title }: StudySummary, figures: Map<string, string>): string {
  const { cell, variant, rows, orders, costLimit } = table;
  const name = variant === 'default' ? cell : `${cell}, ${variant}`;
  const stem = name.replace(/[^a-z0-9.-]+/g, '-');
  const methods = rows.filter(({ method }) => method !== 'start');
  figures.set(`${stem}-frontier.svg`, frontierFigure(`${name}: success against cost`, methods));
  figures.set(`${stem}-dynamics.svg`, dynamicsFigure(`${name}: training`, methods));
  const results = rows.map(
    (row) =>
      `| ${row.method} | ${row.seeds.length} | ${columns.map(([, metric, digits]) => estimated(row.metrics[metric], digits)).join(' | ')} | ${row.method === 'start' ? '' : estimated(row.gain, 3)} | ${row.method === 'start' ? '' : `${row.collapsed} of ${row.seeds.length}${row.failed > 0 ? `, ${row.failed} stopped` : ''}`} |`,
  );
  return [
    `## ${name}`,
    `${head('method', 'n', ...columns.map(([column]) => column), 'gain', 'collapsed')}\n${results.join('\n')}`,
    `Cost limit ${costLimit}. *gain*: hypervolume minus the reference method's on the same seeds. Order by final hypervolume: ${orders.hypervolume.join(', ')}. On the axis exp(-calls): ${orders.hypervolumeSteep.join(', ')}.`,
    `![${title}: frontier overlay, ${name}](${stem}-frontier.svg)`,
    `![${title}: training dynamics, ${name}](${stem}-dynamics.svg)`,
    groupTable(methods),
  ].join('\n\n');
}

const groupColumns: [title: string, key: StepNumber][] = [
  ['spread in success', 'spreadSuccess'],
  ['spread in cost', 'spreadTool'],
  ['spread in length', 'spreadLength'],
  ['no advantage', 'groupsWithoutSpread'],
  ['no success', 'groupsAllWrong'],
  ['calls in those', 'callsUnsolved'],
  ["failures' share of the gradient", 'failureShare'],
  ['failures rewarded', 'failuresRewarded'],
];

function groupTable(rows: MethodRow[]): string {
  const lines = rows.map(
    ({ method, groups }) =>
      `| ${method} | ${groupColumns.map(([, key]) => number(groups[key] ?? null, 3)).join(' | ')} |`,
  );
  return `Groups over the whole run (shares of groups; calls a rollout):\n\n${head('method', ...groupColumns.map(([title]) => title))}\n${lines.join('\n')}`;
}

function frontierFigure(title: string, rows: MethodRow[]): string {
  const panel: ChartPanel = {
    title: 'policies in order of their steps',
    xLabel: 'cost a problem',
    yLabel: 'success',
    lines: rows.map(({ method, series: { selection }, metrics }) => ({
      name: method,
      points: selection.cost.map((x, i) => ({ x, y: selection.success[i] })),
      ...(metrics.cost !== null &&
        metrics.success !== null && {
          end: { x: metrics.cost.mean, y: metrics.success.mean, low: metrics.success.low, high: metrics.success.high },
        }),
    })),
  };
  const close: ChartPanel = {
    ...panel,
    title: 'last policies, report problems',
    lines: panel.lines.map((line) => ({ ...line, points: [] })),
  };
  return chartPanels(title, [panel, close]);
}

function dynamicsFigure(title: string, rows: MethodRow[]): string {
  const evaluated = (label: string, key: 'success' | 'calls' | 'responseLength'): ChartPanel => ({
    title: label,
    xLabel: 'step',
    yLabel: '',
    lines: rows.map(({ method, series: { selection } }) => ({
      name: method,
      points: selection.step.map((x, i) => ({ x, y: selection[key][i] })),
    })),
  });
  const perStep = (label: string, key: StepNumber): ChartPanel => ({
    title: label,
    xLabel: 'step',
    yLabel: '',
    lines: rows.map(({ method, series: { steps } }) => ({
      name: method,
      points: smooth(steps[key] ?? []).map((y, i) => ({ x: i + 1, y })),
    })),
  });
  return chartPanels(title, [
    evaluated('success', 'success'),
    evaluated('calls', 'calls'),
    evaluated('response length', 'responseLength'),
    perStep('entropy, nats a token', 'entropy'),
    perStep('groups without success', 'groupsAllWrong'),
    perStep("failures' share of the gradient", 'failureShare'),
  ]);
}

/** Mean over five steps: single steps are noise. */
function smooth(values: readonly number[]): number[] {
  return values.map((_, i) => {
    const around = values.slice(Math.max(0, i - 2), i + 3).filter(Number.isFinite);
    return around.reduce((sum, value) => sum + value, 0) / around.length;
  });
}

function duels(list: Duel[], tie: number): string {
  const lines = list.flatMap(({ cell, variant, a, b, wins, ties, losses }) =>
    wins + ties + losses === 0
      ? []
      : [`| ${cell}${variant === 'default' ? '' : `, ${variant}`} | ${a} | ${b} | ${wins} | ${ties} | ${losses} |`],
  );
  if (lines.length === 0) return '';
  return `## Wins, ties, losses\n\nFinal hypervolume of a against b, seed by seed; within ${tie} is a tie.\n\n${head('cell', 'a', 'b', 'wins', 'ties', 'losses')}\n${lines.join('\n')}`;
}

/** The paper's main table and ours in its own shape: difference to ToRL (GRPO on success), calls as a share of its calls. */
function paper(tables: Table[]): string {
  const printed = Object.entries(paperTable).flatMap(([benchmark, rows]) =>
    rows.map(({ method, ours, em, calls }) => {
      const torl = rows.find((row) => row.ours === 'grpo')!;
      return `| paper, ${benchmark} | ${method} | ${ours} | ${em.toFixed(1)} | ${signed(em - torl.em, 1)} | ${calls.toFixed(1)} | ${(calls / torl.calls).toFixed(2)} |`;
    }),
  );
  const names = new Set(Object.values(paperTable).flatMap((rows) => rows.map(({ ours }) => ours)));
  const measured = tables
    .filter(({ variant }) => variant === 'default')
    .flatMap(({ cell, rows }) => {
      const torl = rows.find(({ method }) => method === 'grpo')?.metrics;
      if (!torl?.success || !torl.calls) return [];
      return rows
        .filter(({ method }) => names.has(method))
        .map(({ method, metrics: { success, calls } }) =>
          success === null || calls === null
            ? ''
            : `| ours, ${cell} | | ${method} | ${(100 * success.mean).toFixed(1)} | ${signed(100 * (success.mean - torl.success!.mean), 1)} | ${calls.mean.toFixed(2)} | ${(calls.mean / torl.calls!.mean).toFixed(2)} |`,
        );
    });
  return `## The paper's numbers beside ours\n\nNot the same models (Qwen2.5-Math-1.5B there, less than a million parameters here), tasks or budgets: only the shape can be compared, which is the distance to GRPO on success (ToRL).\n\n${head('where', 'their name', 'ours', 'success, %', 'to ToRL, points', 'calls', 'share of ToRL')}\n${[...printed, ...measured].filter((line) => line !== '').join('\n')}`;
}

function head(...titles: string[]): string {
  return `| ${titles.join(' | ')} |\n|${titles.map(() => ' --- ').join('|')}|`;
}

function estimated(value: Estimate | null, digits: number): string {
  if (value === null) return '-';
  const half = value.low === null ? '' : ` ± ${(value.mean - value.low).toFixed(digits)}`;
  return `${value.mean.toFixed(digits)}${half}`;
}

function number(value: number | null, digits: number): string {
  return value === null || !Number.isFinite(value) ? '-' : value.toFixed(digits);
}

function signed(value: number, digits = 3): string {
  return `${value > 0 ? '+' : ''}${value.toFixed(digits)}`;
}
