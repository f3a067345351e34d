/**
 * `import-hub`: looks a model up on the hub that the user named, says what it will fetch, fetches it, and imports it as from
 * a folder. The only command that goes to the network for a model, and only when it is asked for by this name.
 */
import { existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { ParetuneError } from '../../contract/errors.ts';
import type { Json } from '../../contract/records.ts';
import {
  explainDiskFailures,
  removeQuietly,
  requireFreeBytes,
  writeFileAtomic,
} from '../../engine/base/atomic-file.ts';
import { parseModelConfig } from '../../engine/model/model-config.ts';
import { readJson } from '../../engine/weights/folder-files.ts';
import { bytesOnDisk, downloadFile, type Fetched } from '../../hub/download-file.ts';
import { type Hub, hubAccessSchema, openHub } from '../../hub/hub-connection.ts';
import { type HubPlan, lookUp } from '../../hub/hub-plan.ts';
import { parseHubRequest } from '../../hub/hub-request.ts';
import { type CommandContext, defineCommand } from '../command.ts';
import { freeTarget, type ImportedModel, importModel, nameOfSource } from '../import-model.ts';
import { downloadNoteName, downloadOf } from '../model-copy.ts';

/** What is about to be fetched, as the first item of the answer. */
export type HubOffer = { plan: HubPlan; name: string; folder: string; bytesHere: number };
export type HubImport = HubOffer & { model: ImportedModel | null };

export const command = defineCommand({
  payload: z.strictObject({
    access: hubAccessSchema,
    repo: z.string(),
    file: z.string().optional(),
    name: z.string().optional(),
    /** false only looks it up */
    fetch: z.boolean(),
  }),
  async run({ access, repo, file, name: asked, fetch }, context): Promise<HubImport> {
    const request = parseHubRequest(repo, file);
    if (asked !== undefined) freeTarget(context.dataFolder, asked);
    const hub = openHub(access, context.signal);
    context.progress({ label: `asking ${hub.host}`, done: 0, total: 0 });
    const plan = await lookUp(hub, request);
    const gguf = plan.files.find((entry) => /\.gguf$/i.test(entry.name));
    const name = asked ?? nameOfSource(gguf?.name ?? request.repo);
    const target = freeTarget(context.dataFolder, name);
    const folder = downloadOf(target);
    const bytesHere = plan.files.reduce((sum, entry) => sum + bytesOnDisk(folder, entry), 0);
    const offer: HubOffer = { plan, name, folder: target, bytesHere };
    context.item(offer as unknown as Json);
    if (!fetch) return { ...offer, model: null };

    await fetchAll(hub, plan, folder, name, context);
    const { host, commit, licence } = plan;
    const origin = { host, repo: plan.repo, commit, licence };
    try {
      const model = await importModel(gguf ? join(folder, gguf.name) : folder, name, context, origin);
      removeQuietly(folder);
      return { ...offer, model };
    } catch (error) {
      // what cannot be imported is of no use; what was stopped or lacks space goes on from here
      const goesOn = !(error instanceof ParetuneError) || ['disk', 'interrupted'].includes(error.code);
      if (goesOn) throw withWhatIsKept(error, plan, folder, name, context);
      removeQuietly(folder);
      throw error;
    }
  },
});

/** All files of the plan in the folder, the configuration read as soon as it is there. */
async function fetchAll(hub: Hub, plan: HubPlan, folder: string, name: string, context: CommandContext): Promise<void> {
  explainDiskFailures(folder, () => mkdirSync(folder, { recursive: true }));
  removeStrays(folder, plan);
  writeFileAtomic(join(folder, downloadNoteName), `${JSON.stringify({ repo: plan.repo, commit: plan.commit })}\n`);
  const needed = plan.files.reduce((sum, entry) => sum + entry.bytes - bytesOnDisk(folder, entry), 0);
  let done = 0;
  try {
    requireFreeBytes(folder, needed, `The download of ${plan.repo}`);
    let fetched = 0;
    const from = performance.now();
    for (const file of plan.files) {
      const advance: Fetched = async (bytes, source, host) => {
        done += bytes;
        if (source === 'network') fetched += bytes;
        const seconds = (performance.now() - from) / 1000;
        context.progress({
          label: source === 'network' ? 'fetching' : 'checking',
          done: megabytes(done),
          total: megabytes(plan.bytes),
          note: `MB, ${file.name} from ${host || hub.host}`,
          ...(fetched > 0 && { secondsLeft: ((plan.bytes - done) / fetched) * seconds }),
        });
      };
      await downloadFile(hub, plan, file, folder, advance);
      // a model that we cannot read is refused before its weights are fetched
      if (file.name === 'config.json') parseModelConfig(readJson(folder, file.name));
    }
  } catch (error) {
    if (error instanceof ParetuneError && error.code === 'unsupported') {
      removeQuietly(folder);
      throw error;
    }
    throw withWhatIsKept(error, plan, folder, name, context);
  }
}

/** Files of another revision, which this one will not have. Parts are named by what they will be. */
function removeStrays(folder: string, plan: HubPlan): void {
  const kept = new Set(plan.files.flatMap(({ name, hash }) => [name, `.${hash.value.slice(0, 32)}.part`]));
  for (const entry of readdirSync(folder)) {
    if (!kept.has(entry)) rmSync(join(folder, entry), { recursive: true, force: true });
  }
}

/** A download that stops anywhere is kept where it has begun, and the error says so. */
function withWhatIsKept(
  error: unknown,
  plan: HubPlan,
  folder: string,
  name: string,
  { signal }: CommandContext,
): unknown {
  if (!signal.aborted && !(error instanceof ParetuneError)) return error;
  const removal = `paretune models --remove-unfinished ${name}`;
  if (error instanceof ParetuneError && error.hint.includes(removal)) return error; // the copy of the files has said it
  const here = existsSync(folder) ? plan.files.reduce((sum, file) => sum + bytesOnDisk(folder, file), 0) : 0;
  if (here === 0) removeQuietly(folder);
  const kept =
    here === 0
      ? ''
      : `${megabytes(here)} of ${megabytes(plan.bytes)} MB are kept, and the same command goes on from there. ` +
        `To give the space back: ${removal}`;
  if (signal.aborted) return new ParetuneError('interrupted', 'Stopped before the model was imported.', { hint: kept });
  const { code, message, hint } = error as ParetuneError;
  return new ParetuneError(code, message, { hint: `${hint} ${kept}`.trim(), cause: error });
}

const megabytes = (bytes: number) => Math.ceil(bytes / 2 ** 20);
