/** A study's summary as Markdown with figures: what was asked, what was run, what came out, what was not run. No clock, no chance. */
import { startMethod, type StepNumber, type StudyMetric } from '../contract/study.ts';
import { chartPanels, type ChartPanel } from './chart-panels.ts';
import type { PlannedTest } from './test-family.ts';
import { paperTable } from './paper.ts';
import type { Estimate, MethodRow, StudySummary, Table } from './summarize.ts';

/**
 * The report and its SVG figures by name. `command` is what made it, `name` that of the report; its figures are called by what is
 * before the dot: beside report.md for the default, in a folder of that name (NAME/...) for any other.
 */
export function reportFiles(summary: StudySummary, command: string, name = 'report.md'): Map<string, string> {
  const figures = new Map<string, string>();
  const folder = name === 'report.md' ? '' : `${name.replace(/\.md$/, '')}/`;
  const parts = [
    heading(summary, command),
    summary.notes.length > 0 ? ['## In words', ...summary.notes].join('\n\n') : '',
    questions(summary),
    ...summary.tables.map((table) => section(table, summary, figures, folder)),
    duels(summary),
    paper(summary.tables),
    missing(summary),
  ];
  return new Map([[name, `${parts.filter((part) => part !== '').join('\n\n')}\n`], ...figures]);
}

function heading(summary: StudySummary, command: string): string {
  const { runs, notRun, cpuHours, hours, commits, machines, versions, warnings } = summary;
  const open = notRun.filter(({ planned, done }) => done < planned);
  const complete = runs.done === runs.planned;
  return [
    `# ${summary.title}`,
    `Made by \`${command}\`: **${runs.done} of ${runs.planned} planned runs**, ${cpuHours.toFixed(2)} CPU hours (${hours.toFixed(2)} hours of single runs). ${
      complete
        ? 'All that was planned was run.'
        : 'The rest is listed at the end; every number says how many seeds it rests on, and no question is answered before all its runs are there.'
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
    "*hypervolume* is success x (1 - cost / cost limit), *steep axis* success x exp(-calls), *three axes* the first times (1 - length / token limit), each of the last policy at reference 0. *frontier* is the hypervolume of all evaluated policies, *area* its mean over the run, *gain* the hypervolume above the reference method's on the same seeds. *collapsed*: success below the share of the reference method's that the plan sets.",
  ]
    .filter((line) => line !== '')
    .join('\n\n');
}

function questions({ questions: asked, tests }: StudySummary): string {
  if (tests.length === 0) return '';
  const parts = Object.entries(asked).map(([key, question]) => {
    const own = tests.filter((test) => test.question === key);
    if (own.length === 0) return `### (${key}) ${question}`;
    const lines = own.map(
      (test) =>
        `| ${test.claim} | ${nameOf(test)} | ${test.n} of ${test.planned} | ${difference(test)} | ${number(test.p, 4)} | ${number(test.pHolm, 4)} | ${test.verdict} |`,
    );
    const answer = own.every(({ verdict }) => verdict !== 'not yet')
      ? `${(['shown', 'against', 'open'] as const).map((verdict) => `${own.filter((test) => test.verdict === verdict).length} ${verdict}`).join(', ')}.`
      : `Not answered yet: ${own.filter(({ verdict }) => verdict === 'not yet').length} of ${own.length} tests lack runs.`;
    return `### (${key}) ${question}\n\n${answer}\n\n${head('claim', 'cell', 'pairs', 'difference (95 %)', 'p', 'p (Holm)', 'verdict')}\n${lines.join('\n')}`;
  });
  const made = tests.filter(({ p }) => p !== null).length;
  return `## The questions\n\nPaired Student tests over seeds, ${made} of ${tests.length} planned made; Holm's correction counts all ${tests.length}. A test is made when all its pairs are there: before that its difference is shown as it stands, without a p. *shown*: corrected p below 0.05; *against*: the interval lies wholly on the other side; *open*: neither. The difference is a - factor b - margin as the plan defines it; the intervals are two-sided.\n\n${parts.join('\n\n')}`;
}

function difference({ metric, difference: value, low, high }: PlannedTest): string {
  if (value === null || low === null || high === null) return '-';
  return `${metric} ${signed(value)} (${signed(low)} to ${signed(high)})`;
}

/** As many as the charts have colours. */
const mostLines = 8;

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

function section(table: Table, { title, tests }: StudySummary, figures: Map<string, string>, folder: string): string {
  const { rows, orders, costLimit } = table;
  const name = nameOf(table);
  const stem = `${folder}${name.replace(/[^a-z0-9.-]+/g, '-')}`;
  const methods = rows.filter(({ method }) => method !== startMethod);
  // more lines than colours cannot be told apart: those that the questions are about have figures of their own
  const asked = new Set(tests.flatMap(({ a, b }) => [a, b]));
  const crowded = methods.length > mostLines;
  const sets: [suffix: string, members: MethodRow[]][] = crowded
    ? [
        ['', methods.filter(({ method }) => asked.has(method))],
        ['-others', methods.filter(({ method }) => !asked.has(method))],
      ]
    : [['', methods]];
  const pictures = sets.flatMap(([suffix, members]) => {
    if (members.length === 0) return [];
    figures.set(`${stem}${suffix}-frontier.svg`, frontierFigure(`${name}: success against cost`, members));
    figures.set(`${stem}${suffix}-dynamics.svg`, dynamicsFigure(`${name}: training`, members));
    return [
      `![${title}: frontier overlay, ${name}](${stem}${suffix}-frontier.svg)`,
      `![${title}: training dynamics, ${name}](${stem}${suffix}-dynamics.svg)`,
    ];
  });
  const results = rows.map(
    (row) =>
      `| ${row.method} | ${row.seeds.length} of ${row.planned} | ${columns.map(([, metric, digits]) => estimated(row.metrics[metric], digits)).join(' | ')} | ${row.method === startMethod ? '' : estimated(row.gain, 3)} | ${row.method === startMethod ? '' : `${row.collapsed} of ${row.seeds.length}${row.failed > 0 ? `, ${row.failed} stopped` : ''}`} |`,
  );
  return [
    `## ${name}`,
    `${head('method', 'n', ...columns.map(([column]) => column), 'gain', 'collapsed')}\n${results.join('\n')}`,
    `Cost limit ${costLimit}. Order by final hypervolume: ${orders.hypervolume.join(', ')}. On the axis exp(-calls): ${orders.hypervolumeSteep.join(', ')}.`,
    ...pictures,
    groupTable(methods),
  ].join('\n\n');
}

/** A cell, and its variant where it is not the default. */
function nameOf({ cell, variant }: { cell: string; variant: string }): string {
  return variant === 'default' ? cell : `${cell}, ${variant}`;
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
  const axes = { xLabel: 'cost a problem', yLabel: 'success', yMost: 1 };
  const way: ChartPanel = {
    ...axes,
    title: 'selection problems, in order of the steps',
    lines: rows.map(({ method, series: { selection } }) => {
      const points = selection.cost.map((x, i) => ({ x, y: selection.success[i] }));
      const last = points.at(-1);
      return { name: method, points, ...(last && { end: last }) };
    }),
  };
  const end: ChartPanel = {
    ...axes,
    title: 'last policies, report problems',
    lines: rows.map(({ method, metrics: { cost, success } }) => ({
      name: method,
      points: [],
      ...(cost !== null &&
        success !== null && {
          end: { x: cost.mean, y: success.mean, xInterval: rangeOf(cost), yInterval: rangeOf(success) },
        }),
    })),
  };
  return chartPanels(title, [way, end]);
}

function rangeOf({ low, high }: Estimate): { low: number; high: number } | null {
  return low === null || high === null ? null : { low, high };
}

function dynamicsFigure(title: string, rows: MethodRow[]): string {
  const evaluated = (label: string, key: 'success' | 'calls' | 'responseLength'): ChartPanel => ({
    title: label,
    xLabel: 'step',
    yLabel: '',
    ...(key === 'success' && { yMost: 1 }),
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

/** Each method against those that the questions are about: wins-ties-losses, a row. */
function duels({ duels: list, tables, tests, tie }: StudySummary): string {
  const asked = new Set(tests.flatMap(({ a, b }) => [a, b]));
  const parts = tables.flatMap((table) => {
    const methods = table.rows.map(({ method }) => method).filter((method) => method !== startMethod);
    const against = methods.filter((method) => asked.has(method));
    const lines = methods.map((a) => {
      const cells = against.map((b) => {
        const duel = list.find(
          (one) => sameTable(one, table) && [one.a, one.b].includes(a) && [one.a, one.b].includes(b),
        );
        if (a === b || duel === undefined || duel.wins + duel.ties + duel.losses === 0) return '';
        const [won, lost] = duel.a === a ? [duel.wins, duel.losses] : [duel.losses, duel.wins];
        return `${won}-${duel.ties}-${lost}`;
      });
      return `| ${a} | ${cells.join(' | ')} |`;
    });
    if (against.length === 0 || methods.length < 2) return [];
    return [`${head(nameOf(table), ...against)}\n${lines.join('\n')}`];
  });
  if (parts.length === 0) return '';
  return `## Wins, ties, losses\n\nFinal hypervolume of the row's method against the column's, seed by seed; within ${tie} is a tie.\n\n${parts.join('\n\n')}`;
}

function sameTable(one: { cell: string; variant: string }, other: { cell: string; variant: string }): boolean {
  return one.cell === other.cell && one.variant === other.variant;
}

/** What is still to be run. */
function missing({ missing: list }: StudySummary): string {
  if (list.length === 0) return '';
  const lines = list.map((one) => `| ${nameOf(one)} | ${one.method} | ${one.seeds.join(', ')} |`);
  return `## Not yet run\n\n${head('cell', 'method', 'seeds')}\n${lines.join('\n')}`;
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
