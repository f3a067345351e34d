/** All commands of the engine process by name. A command's module is loaded when it is first asked for. */

export const commands = {
  tune: () => import('./commands/tune.ts'),
  resume: () => import('./commands/resume.ts'),
  demo: () => import('./commands/demo.ts'),
  sft: () => import('./commands/sft.ts'),
  import: () => import('./commands/import.ts'),
  'import-hub': () => import('./commands/import-hub.ts'),
  'unfinished-imports': () => import('./commands/unfinished-imports.ts'),
  eval: () => import('./commands/eval.ts'),
  export: () => import('./commands/export.ts'),
  chat: () => import('./commands/chat.ts'),
  runs: () => import('./commands/runs.ts'),
  show: () => import('./commands/show.ts'),
  compare: () => import('./commands/compare.ts'),
  rescore: () => import('./commands/rescore.ts'),
  'study-run': () => import('./commands/study-run.ts'),
  doctor: () => import('./commands/doctor.ts'),
  'install-cuda': () => import('./commands/install-cuda.ts'),
  'tools-list': () => import('./commands/tools-list.ts'),
  'tools-check': () => import('./commands/tools-check.ts'),
  'tools-try': () => import('./commands/tools-try.ts'),
  'tools-add': () => import('./commands/tools-add.ts'),
  'tools-look': () => import('./commands/tools-look.ts'),
  'tools-remove': () => import('./commands/tools-remove.ts'),
  'tools-approve': () => import('./commands/tools-approve.ts'),
  'tools-revoke': () => import('./commands/tools-revoke.ts'),
  'window-runs': () => import('./commands/window-runs.ts'),
  'window-run': () => import('./commands/window-run.ts'),
  'window-statistics': () => import('./commands/window-statistics.ts'),
  'window-rows': () => import('./commands/window-rows.ts'),
  'window-groups': () => import('./commands/window-groups.ts'),
  'window-trajectories': () => import('./commands/window-trajectories.ts'),
  'window-trajectory': () => import('./commands/window-trajectory.ts'),
  'window-annotate': () => import('./commands/window-annotate.ts'),
  'window-delete': () => import('./commands/window-delete.ts'),
  'window-prices': () => import('./commands/window-prices.ts'),
  'window-models': () => import('./commands/window-models.ts'),
  'window-inspect': () => import('./commands/window-inspect.ts'),
  'window-tasks': () => import('./commands/window-tasks.ts'),
  'window-settings': () => import('./commands/window-settings.ts'),
  'window-preview': () => import('./commands/window-preview.ts'),
  'window-estimate': () => import('./commands/window-estimate.ts'),
  'window-ready': () => import('./commands/window-ready.ts'),
};

export type CommandName = keyof typeof commands;

type CommandOf<Name extends CommandName> = Awaited<ReturnType<(typeof commands)[Name]>>['command'];

/** What a command is given and what it answers, for the other end of the protocol (types only: no code crosses). */
export type PayloadOf<Name extends CommandName> = Parameters<CommandOf<Name>['run']>[0];
export type ResultOf<Name extends CommandName> = Awaited<ReturnType<CommandOf<Name>['run']>>;
