/** A small study and shards of it, made by a rule instead of a run: success and cost as the test says. */
import type { Shard, Study } from '../../src-main/contract/study.ts';
import { checkStudy, studyRuns } from '../../src-main/study/study-runs.ts';

/** Two cells, three methods, two variants, three seeds. */
export const plan = {
  name: 'small',
  title: 'A small study',
  questions: { a: 'Is hvg cheaper?' },
  base: { steps: 4, problemsPerStep: 4, threads: 1 },
  cells: {
    over: { model: 'starter:over-user', tasks: ['arithmetic'] },
    under: { model: 'starter:under-user', tasks: ['arithmetic-calculator'] },
  },
  methods: { grpo: { method: 'grpo' }, hvg: { method: 'hvg' }, static: { method: 'static' } },
  variants: { heavy: { weights: [0.3, 0.7], alpha: 1 } },
  blocks: [
    { name: 'main', cells: ['over', 'under'], methods: ['grpo', 'hvg', 'static'], seeds: [0, 1, 2] },
    { name: 'weights', cells: ['under'], methods: ['static', 'hvg'], variants: ['heavy'], seeds: [0] },
  ],
  collapse: { below: 0.8, of: 'grpo' },
  tests: [
    {
      question: 'a',
      claim: 'cheaper',
      metric: 'cost',
      a: 'hvg',
      b: 'grpo',
      alternative: 'less',
      cells: ['over', 'under'],
    },
  ],
};

export const small: Study = checkStudy(plan);

type Ends = { success: number; cost: number };

/** A shard for every run for which `ends` has an answer; all start at success 0.5 and cost 2. */
export function shardsOf(
  study: Study,
  ends: (run: { cell: string; method: string; variant: string; seed: number }) => Ends | null,
): Map<string, Shard> {
  const shards = studyRuns(study).flatMap((run): Shard[] => {
    const end = ends(run);
    if (end === null) return [];
    const point = (step: number, split: 'selection' | 'report', { success, cost }: Ends) => ({
      step,
      split,
      sampling: 'sampled' as const,
      n: 100,
      success,
      cost,
      calls: cost,
      responseLength: 10 * cost,
      klToStart: 0,
    });
    const start = { success: 0.5, cost: 2 };
    return [
      {
        format: 1,
        study: study.name,
        cell: run.cell,
        method: run.method,
        variant: run.variant,
        seed: run.seed,
        configHash: run.configHash,
        config: run.config,
        commit: 'abc',
        versions: { paretune: '1', runtime: '1', node: '24' },
        machine: { cpu: 'test', threads: 1, platform: 'linux x64' },
        modelHash: run.cell,
        referencePrice: 1,
        costLimit: 4,
        status: 'finished',
        reason: '',
        seconds: 10,
        cpuSeconds: 36,
        points: [
          point(0, 'selection', start),
          point(0, 'report', start),
          point(4, 'selection', end),
          point(4, 'report', end),
        ],
        steps: { success: [0.5, 0.6, 0.7, end.success], callsUnsolved: [null, 1, null, 2] },
      },
    ];
  });
  return new Map(shards.map((shard) => [shard.configHash, shard]));
}
