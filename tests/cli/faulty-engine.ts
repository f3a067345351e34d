/** An engine process whose commands go wrong in every way that the supervisor must survive. The serving code is the real one. */
import { z } from 'zod';
import { ParetuneError } from '../../src-main/contract/errors.ts';
import { type RunConfigInput, runConfigSchema } from '../../src-main/contract/run-config.ts';
import type { RunEvent } from '../../src-main/contract/run-events.ts';
import { type Command, type CommandContext, defineCommand } from '../../src-main/engine-process/command.ts';
import { connectToParent } from '../../src-main/engine-process/parent-connection.ts';
import { serve } from '../../src-main/engine-process/serve.ts';

const sleep = (ms: number) => new Promise((done) => setTimeout(done, ms));

function saved(context: CommandContext, step: number): void {
  context.emit({ kind: 'resumed', runId: 'r7', fromStep: 0, attempt: 2 });
  const checkpoint = { step, folder: 'x', manifestHash: '', weightsHash: '', bytes: 1 };
  context.emit({ kind: 'checkpoint', runId: 'r7', checkpoint, dropped: [] });
}

function begun(context: CommandContext, changes: Partial<RunConfigInput> = {}): void {
  const config = runConfigSchema.parse({ model: 'm', tasks: ['t'], provider: 'webgpu', ...changes });
  context.emit({ kind: 'started', runId: 'r7', config, facts: {} } as unknown as RunEvent);
}

const wrong: Record<string, (context: CommandContext) => Promise<unknown>> = {
  echo: async ({ dataFolder, progress, item }) => {
    for (let i = 0; i <= 1000; i++) progress({ label: 'counting', done: i, total: 1000 });
    item('part');
    return { dataFolder, absent: undefined };
  },
  segfault: async (context) => {
    saved(context, 40);
    await sleep(50);
    process.stderr.write('something native went wrong\n');
    process.kill(process.pid, 'SIGSEGV');
    await sleep(5000);
  },
  exit: async () => process.exit(3),
  hang: async (context) => {
    saved(context, 40);
    await sleep(50);
    for (;;);
  },
  // a driver that hangs in a step of a run on a GPU
  tune: async (context) => {
    begun(context);
    saved(context, 40);
    await sleep(50);
    for (;;);
  },
  longStep: async () => {
    const end = performance.now() + 700;
    while (performance.now() < end);
    return 'done';
  },
  untilStopped: async ({ signal }) => {
    while (!signal.aborted) await sleep(10);
    return { status: 'stopped' };
  },
  abortable: async ({ signal }) => {
    while (true) {
      signal.throwIfAborted();
      await sleep(10);
    }
  },
  stubborn: async (context) => {
    saved(context, 40);
    await sleep(60_000);
  },
  ours: async () => {
    throw new TypeError('x is not a function');
  },
  theirs: async () => {
    throw new ParetuneError('bad-data', 'Row 3 is empty.', { hint: 'Remove it.' });
  },
  loose: async () => {
    setTimeout(() => {
      throw new RangeError('out of nowhere');
    }, 10);
    await sleep(5000);
  },
  step: async ({ emit }) => {
    emit({ kind: 'step', runId: 'r7', step: 0, groups: [{ big: true }], metrics: {} } as unknown as RunEvent);
  },
};

const payload: z.ZodType<unknown> = z.strictObject({});
/** Answers with what it was asked for; on a GPU that is lost again and again as long as the batches are large. */
const resume: Command<unknown, unknown> = defineCommand({
  payload: z.unknown(),
  async run(asked, context) {
    const { run, rolloutBatch } = asked as { run: string; rolloutBatch?: number };
    const batch = rolloutBatch ?? (run === 'lost' ? 256 : 0);
    if (batch <= 64) return asked as never;
    begun(context, { onProviderFailure: 'smaller-batch', rolloutBatch: batch });
    saved(context, 40);
    throw new ParetuneError('device', `The GPU was lost with ${batch} rows.`);
  },
});
const table = Object.fromEntries(
  Object.entries(wrong).map(([name, run]) => {
    const command: Command<unknown, unknown> = defineCommand({ payload, run: (_, context) => run(context) });
    return [name, async () => ({ command })];
  }),
);
table.resume = async () => ({ command: resume });
serve(table, connectToParent(), process.argv[2]);
