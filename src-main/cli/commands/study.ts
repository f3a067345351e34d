/** `paretune study FILE`: runs what a study still lacks, shard by shard, and reports on what is there. */
import { basename, dirname, extname, join, resolve } from 'node:path';
import type { Command } from 'commander';
import type { Json } from '../../contract/records.ts';
import { ParetuneError } from '../../contract/errors.ts';
import type { Study } from '../../contract/study.ts';
import { reportFiles } from '../../study/report.ts';
import { matchShards, readShards } from '../../study/shards.ts';
import { checkStudy, studyRuns } from '../../study/study-runs.ts';
import { type StudySummary, summarize } from '../../study/summarize.ts';
import { act, examples, wholeNumber } from '../command-line.ts';
import { readSettingsFile } from '../../settings/run-settings.ts';
import { percent, table } from '../table.ts';
import { runStudy } from '../study-runner.ts';
import { writeText } from '../write-text.ts';

type Options = {
  shards?: string;
  out?: string;
  jobs: string;
  only?: string;
  limit?: string;
  report?: boolean;
  log?: boolean;
};

export function studyCommand(program: Command): void {
  program
    .command('study')
    .argument('<file>', 'a study: methods, seeds, tasks, starts, questions (YAML or JSON)')
    .option('--jobs <n>', 'runs at the same time, each in a process of its own', '1')
    .option('--shards <folder>', 'where the results of single runs lie (default: beside the file, NAME.shards)')
    .option(
      '--out <path>',
      'folder of the report, or a file NAME.md with its figures in NAME (default: beside the study, NAME.report)',
    )
    .option('--only <words>', 'only runs whose label holds all of these words, e.g. "under hvg"')
    .option('--limit <n>', 'stop after so many runs')
    .option('--log', 'keep each run with all its trajectories in the data folder, as tune does (one job)')
    .option('--report', 'run nothing: report on the shards that are there')
    .description('compare methods over seeds, tasks and starts under one budget, and report with intervals and tests')
    .addHelpText(
      'after',
      examples(
        'study studies/tiny.yaml',
        'study studies/full.yaml --jobs 2 --limit 10',
        'study studies/full.yaml --report --json',
        'study studies/full.yaml --report --out docs/results.md',
      ),
    )
    .action(
      act<Options>(async (session, options, file) => {
        const path = resolve(file);
        const study = checkStudy(readSettingsFile(path));
        const beside = (ending: string) => join(dirname(path), `${basename(path, extname(path))}.${ending}`);
        const shardFolder = resolve(options.shards ?? beside('shards'));
        const out = resolve(options.out ?? beside('report'));
        if (!options.report) {
          const missing = matchShards(studyRuns(study), readShards(shardFolder)).missing;
          const words = (options.only ?? '').split(/\s+/).filter((word) => word !== '');
          const wanted = missing.filter((run) => words.every((word) => labelOf(run).includes(word)));
          const limit = options.limit === undefined ? wanted.length : wholeNumber('--limit', options.limit, 1);
          const jobs = wholeNumber('--jobs', options.jobs, 1);
          const log = options.log === true;
          if (log && jobs > 1)
            throw new ParetuneError('usage', 'One process writes the data folder: --log needs --jobs 1.');
          await runStudy(session, study.name, wanted.slice(0, limit), { jobs, log, shardFolder, labelOf });
        }
        const summary = summarize(study, readShards(shardFolder));
        const [folder, name] = extname(out) === '.md' ? [dirname(out), basename(out)] : [out, 'report.md'];
        const files = reportFiles(summary, commandOf(file, options), name);
        for (const [path, text] of files) writeText(join(folder, path), text);
        session.print(textOf(study, summary));
        session.print(`report: ${join(folder, name)}\nshards: ${shardFolder}`);
        return { ...summary, report: join(folder, name), shards: shardFolder } as unknown as Json;
      }),
    );
}

/** What makes the same report again, typed in the checkout. What only changes which runs come first is left out. */
function commandOf(file: string, { shards, out, report }: Options): string {
  const given = [report ? '--report' : '', shards ? `--shards ${shards}` : '', out ? `--out ${out}` : ''];
  return ['npm run paretune -- study', file, ...given].filter((word) => word !== '').join(' ');
}

/** How a run is called on the screen and in `--only`. */
function labelOf(run: { block: string; cell: string; method: string; variant: string; seed: number }): string {
  return `${run.block} ${run.cell} ${run.method} ${run.variant} seed-${run.seed}`;
}

function textOf(study: Study, summary: StudySummary): string {
  const tables = summary.tables.map(({ cell, variant, rows }) => {
    const lines = rows.map(({ method, seeds, metrics: m, collapsed }) => [
      method,
      String(seeds.length),
      m.success === null ? '-' : percent(m.success.mean),
      m.calls === null ? '-' : m.calls.mean.toFixed(2),
      m.hypervolume === null ? '-' : m.hypervolume.mean.toFixed(3),
      String(collapsed),
    ]);
    const titles = ['method', 'n', 'success', 'calls', 'hypervolume', 'collapsed'];
    const columns = titles.map((title, i) => ({ title, align: i === 0 ? ('left' as const) : ('right' as const) }));
    return `${cell}${variant === 'default' ? '' : `, ${variant}`}\n${table(columns, lines)}`;
  });
  const verdicts = summary.tests.map(
    (test) => `(${test.question}) ${test.cell}: ${test.claim}: ${test.verdict} (${test.n} of ${test.planned} pairs)`,
  );
  return [`${study.title}: ${summary.runs.done} of ${summary.runs.planned} runs`, ...tables, verdicts.join('\n')]
    .filter((part) => part !== '')
    .join('\n\n');
}
