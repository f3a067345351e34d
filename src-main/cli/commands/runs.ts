/** `paretune tune | resume | runs | show | compare | rescore | eval`: runs and what they came to. */
import { resolve } from 'node:path';
import { type Command, Option } from 'commander';
import { ParetuneError } from '../../contract/errors.ts';
import { type ProviderSetting, providerSettings } from '../../contract/providers.ts';
import { methodNames } from '../../contract/run-config.ts';
import { act, examples, wholeNumber } from '../command-line.ts';
import { frontierPlot } from '../frontier-plot.ts';
import { frontierSvg } from '../frontier-svg.ts';
import { chartOf, estimateText, runText, tryNext } from '../run-output.ts';
import {
  checkRunSettings,
  type RawSettings,
  readSettingsFile,
  settingsTemplate,
  withSetting,
} from '../../settings/run-settings.ts';
import { change, cost, duration, percent, percentWithInterval, table } from '../table.ts';
import { writeText } from '../write-text.ts';

type SettingFlags = {
  config?: string;
  model?: string;
  task?: string[];
  method?: string;
  steps?: string;
  seed?: string;
  price?: string[];
  set?: string[];
};

const collect = (value: string, all: string[] = []) => [...all, value];

/** Flags that stand for settings of whatever opens an agent in an environment. */
function withSettingFlags(command: Command): Command {
  return command
    .option('-c, --config <file>', 'settings from a YAML or JSON file; flags go on top')
    .option('-m, --model <model>', 'model folder, starter:over-user, starter:under-user or imported:NAME')
    .option(
      '-t, --task <task>',
      'arithmetic, multi-hop, ... or a JSONL, GSM8K, SVAMP or HotpotQA file; may be repeated',
      collect,
    )
    .option('--seed <n>', 'seed of everything random')
    .option('-p, --price <tool=price>', 'price of one call of a tool, e.g. python=0.5; may be repeated', collect)
    .option('-s, --set <key=value>', 'any other setting, e.g. train.learningRate=1e-4; may be repeated', collect);
}

/** Settings as the flags say, on top of the file's. */
function rawSettings(flags: SettingFlags): RawSettings {
  let settings: RawSettings = flags.config ? readSettingsFile(flags.config) : {};
  const put = (key: string, value: string | undefined) => {
    if (value !== undefined) settings = withSetting(settings, key, value);
  };
  put('model', flags.model);
  if (flags.task) settings = { ...settings, tasks: flags.task };
  put('method', flags.method);
  put('steps', flags.steps);
  put('seed', flags.seed);
  for (const price of flags.price ?? [])
    settings = { ...settings, prices: { ...(settings.prices as object), ...pair(price, '--price') } };
  for (const setting of flags.set ?? []) {
    const at = setting.indexOf('=');
    if (at < 1) throw new ParetuneError('usage', `--set ${setting} has no value; write key=value.`);
    settings = withSetting(settings, setting.slice(0, at), setting.slice(at + 1));
  }
  return settings;
}

/** `python=0.5` as { python: 0.5 }. */
function pair(text: string, flag: string): Record<string, number> {
  const at = text.lastIndexOf('=');
  const price = Number(text.slice(at + 1));
  if (at >= 1 && text.slice(at + 1).trim() !== '' && price >= 0 && Number.isFinite(price))
    return { [text.slice(0, at)]: price };
  throw new ParetuneError('usage', `${flag} ${text} is not tool=price with a price of at least 0, e.g. python=0.5.`);
}

export function runCommands(program: Command): void {
  withSettingFlags(program.command('tune'))
    .addOption(new Option('--method <method>', 'the algorithm').choices([...methodNames]))
    .option('--steps <n>', 'training steps')
    .description('tune an agent so that it answers right with the fewest and cheapest tool calls')
    .option('--name <name>', "the run's name; the task and a number if absent")
    .option('--dry-run', 'say what memory the run needs and about how long it takes on this machine, and stop')
    .option('--list-settings', 'print every setting with its default as a YAML file, and stop')
    .addHelpText(
      'after',
      examples(
        'tune --model starter:over-user --task arithmetic',
        'tune --model starter:under-user --task arithmetic-calculator --steps 96',
        'tune --model ./my-model --task problems.jsonl --price search=0.2 --set train.parameters=lora',
        'tune --config run.yaml --seed 1',
        'tune --config run.yaml --dry-run',
        'tune --list-settings > run.yaml',
      ),
    )
    .action(
      act<SettingFlags & { name?: string; dryRun?: boolean; listSettings?: boolean }>(async (session, options) => {
        if (options.listSettings) {
          const template = settingsTemplate();
          session.print(template);
          return { template };
        }
        const config = checkRunSettings(rawSettings(options));
        if (options.dryRun) {
          const estimate = await session.engine('window-estimate', { config });
          session.print(estimateText(estimate, config.steps));
          return estimate;
        }
        const run = await session.engine('tune', { config, name: options.name });
        session.print(runText(run, session.columns));
        session.print(
          run.status === 'finished'
            ? tryNext(
                `export ${run.runId} --to DIR`,
                `chat --run ${run.runId} --task ${config.tasks[0]}`,
                `rescore ${run.runId} --price TOOL=PRICE`,
              )
            : tryNext(`resume ${run.runId}`, `show ${run.runId}`),
        );
        return run;
      }),
    );

  program
    .command('resume')
    .argument('<run>', 'name of a run, the beginning of it, or last')
    .description('go on with a run that was stopped, from its last checkpoint, as if it had never stopped')
    .addOption(new Option('--provider <name>', 'who computes from here on').choices(providerSettings))
    .addHelpText('after', examples('resume last', 'resume arithmetic-1', 'resume last --provider cpu'))
    .action(
      act<{ provider?: ProviderSetting }>(async (session, { provider }, name) => {
        const run = await session.engine('resume', { run: name, ...(provider && { provider }) });
        session.print(runText(run, session.columns));
        return run;
      }),
    );

  program
    .command('runs')
    .description('the list of all runs')
    .addHelpText('after', examples('runs', 'runs --json'))
    .action(
      act(async (session) => {
        const result = await session.engine('runs', {});
        if (result.runs.length === 0) {
          session.print(
            `No run yet in ${result.database}.${tryNext('demo', 'tune --model starter:over-user --task arithmetic')}`,
          );
          return result;
        }
        const rows = result.runs.map((run) => [
          run.runId,
          run.status,
          `${run.step}/${run.plannedSteps}`,
          run.method,
          run.tasks.map((task) => task.split(/[\\/]/).at(-1)).join('+'),
          new Date(run.changedAtMs).toISOString().slice(0, 16).replace('T', ' '),
        ]);
        const columns = ['run', 'status', 'step', 'method', 'tasks', 'last change (UTC)'].map((title) => ({ title }));
        session.print(table(columns, rows));
        return result;
      }),
    );

  program
    .command('show')
    .argument('<run>', 'name of a run, the beginning of it, or last')
    .option('--svg <file>', "where the frontier is drawn; frontier-RUN.svg in the run's folder if absent")
    .description('one run: before and after, its frontier as a plot, warnings, exports')
    .addHelpText('after', examples('show last', 'show demo-1 --svg frontier.svg'))
    .action(
      act<{ svg?: string }>(async (session, options, name) => {
        const run = await session.engine('show', { run: name });
        session.print(runText(run, session.columns));
        for (const warning of run.warnings) session.print(`warning, step ${warning.step}: ${warning.message}`);
        for (const artifact of run.artifacts) session.print(`exported step ${artifact.step}: ${artifact.path}`);
        if (run.points.length > 0) {
          const file = resolve(options.svg ?? `${run.folder}/frontier-${run.runId}.svg`);
          writeText(file, frontierSvg(chartOf(run)));
          session.print(`the frontier is drawn in ${file}`);
          return { ...run, svg: file };
        }
        return run;
      }),
    );

  program
    .command('compare')
    .argument('<runs...>', 'two or more runs')
    .description('runs side by side: success, cost and hypervolume before and after')
    .addHelpText('after', examples('compare arithmetic-1 arithmetic-2'))
    .action(
      act(async (session, _, ...names) => {
        const result = await session.engine('compare', { runs: names.flat() });
        const rows = result.runs.map((run) => {
          const ends = run.report ?? run.selection;
          return [
            run.runId,
            run.method,
            `${run.step}/${run.plannedSteps}`,
            ends ? percentWithInterval(ends.after.success, ends.after.successLow, ends.after.successHigh) : '-',
            ends ? cost(ends.after.cost) : '-',
            ends ? change(ends.before.cost, ends.after.cost) : '-',
            run.hypervolume ? run.hypervolume.after.toFixed(3) : '-',
          ];
        });
        const columns = [
          'run',
          'method',
          'steps',
          'success at the end',
          'cost',
          'cost against start',
          'hypervolume',
        ].map((title) => ({ title }));
        session.print(table(columns, rows));
        return result;
      }),
    );

  program
    .command('rescore')
    .argument('<run>', 'name of a run, the beginning of it, or last')
    .requiredOption('-p, --price <tool=price>', 'a new price of one call; may be repeated', collect)
    .option('--windows <n>', 'points that the steps are gathered into', '20')
    .description('what the logged trajectories of a run would have cost under other prices; no rollout is made')
    .addHelpText('after', examples('rescore last --price python=0.25', 'rescore demo-1 -p search=3 -p python=1'))
    .action(
      act<{ price: string[]; windows: string }>(async (session, options, name) => {
        const prices = Object.assign({}, ...options.price.map((text) => pair(text, '--price'))) as Record<
          string,
          number
        >;
        const result = await session.engine('rescore', {
          run: name,
          prices,
          windows: wholeNumber('--windows', options.windows, 1),
        });
        session.print(
          frontierPlot(
            {
              title: result.runId,
              points: result.points,
              costLimit: result.costLimit,
              hypervolume: result.hypervolume,
            },
            { columns: Math.min(76, session.columns), rows: 14 },
          ),
        );
        const rows = result.points.map((point) => [
          `${point.fromStep}-${point.step}`,
          percent(point.success),
          cost(point.costBefore),
          cost(point.cost),
          point.onFrontier ? 'frontier' : '',
        ]);
        const columns = ['steps', 'success', 'cost then', 'cost now', ''].map((title) => ({ title }));
        session.print(`\n${table(columns, rows)}\n\nhypervolume at these prices ${result.hypervolume.toFixed(3)}`);
        return result;
      }),
    );

  withSettingFlags(program.command('eval'))
    .description('measure a model, or a run at a checkpoint, on held-out problems')
    .option('--run <run>', 'a run; without it the model of --model is measured as it is')
    .option('--checkpoint <name>', 'best, last, frontier:K or a step', 'best')
    .addOption(new Option('--split <split>', 'held-out problems').choices(['selection', 'report']).default('report'))
    .option('--problems <n>', 'problems of each task', '500')
    .option('--no-greedy', 'only sampled at temperature 1')
    .addHelpText(
      'after',
      examples(
        'eval --run last',
        'eval --model starter:over-user --task arithmetic --problems 1000',
        'eval --run demo-1 --checkpoint frontier:1',
      ),
    )
    .action(
      act<
        SettingFlags & {
          run?: string;
          checkpoint: string;
          split: 'selection' | 'report';
          problems: string;
          greedy: boolean;
        }
      >(async (session, options) => {
        const raw = rawSettings(options);
        if (options.run === undefined) checkRunSettings(raw);
        else if (options.model !== undefined) {
          throw new ParetuneError('usage', '--run and --model name two agents; one can be measured at a time.');
        }
        const result = await session.engine('eval', {
          run: options.run,
          checkpoint: options.checkpoint,
          settings: raw as Parameters<typeof JSON.stringify>[0],
          split: options.split,
          problems: wholeNumber('--problems', options.problems, 1),
          greedy: options.greedy,
        });
        const columns = ['sampling', 'problems', 'success', 'cost', 'calls', 'tokens'].map((title) => ({ title }));
        const rows = result.points.map((point) => [
          point.sampling,
          String(point.n),
          percentWithInterval(point.success, point.successLow, point.successHigh),
          cost(point.cost),
          point.calls.toFixed(2),
          point.responseLength.toFixed(1),
        ]);
        session.print(table(columns, rows));
        for (const [name, part] of Object.entries(result.points[0].breakdown)) {
          session.print(`  ${name}: ${part.n} problems, success ${percent(part.success)}, cost ${cost(part.cost)}`);
        }
        for (const warning of result.warnings) session.print(`warning, ${warning}`);
        session.print(`in ${duration(result.seconds * 1000)}`);
        return result;
      }),
    );
}
