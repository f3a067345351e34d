/** `paretune import`: a model from a folder, a GGUF file or, only where that is asked for, a hub. */
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { ParetuneError } from '../../contract/errors.ts';
import type { ImportedModel } from '../../engine-process/import-model.ts';
import type { HubOffer } from '../../engine-process/commands/import-hub.ts';
import { act, examples } from '../command-line.ts';
import { readEnvironment } from '../environment.ts';
import { tryNext } from '../run-output.ts';
import type { Session } from '../session.ts';
import { bytes, count, table } from '../table.ts';

type ImportOptions = { as?: string; fromHub?: string; file?: string; dryRun?: boolean };

export function importCommand(program: Command): void {
  program
    .command('import')
    .argument(
      '[model]',
      'a Hugging Face model folder (config.json, model.safetensors, tokenizer.json, chat template) or a .gguf file',
    )
    .option('--as <name>', "the model's name; the folder's or file's if absent")
    .option(
      '--from-hub <name>',
      'OWNER/NAME or OWNER/NAME@REVISION, fetched over the network from huggingface.co or HF_ENDPOINT, with the token of HF_TOKEN if there is one',
    )
    .option('--file <file>', 'with --from-hub: the .gguf file of a repository that has several')
    .option('--dry-run', 'with --from-hub: only say what would be fetched')
    .description('check a model and copy it into the data folder; an import that was killed goes on where it was')
    .addHelpText(
      'after',
      examples(
        'import ./SmolLM2-135M-Instruct',
        'import SmolLM2-135M-Instruct.Q4_K_M.gguf',
        'import ./checkpoint-500 --as my-agent',
        'import --from-hub HuggingFaceTB/SmolLM2-135M-Instruct',
        'import --from-hub bartowski/SmolLM2-135M-Instruct-GGUF --file SmolLM2-135M-Instruct-Q8_0.gguf',
      ),
    )
    .action(
      act<ImportOptions>(async (session, options, source?: string) => {
        if ((source === undefined) === (options.fromHub === undefined)) {
          throw new ParetuneError('usage', 'Give a folder or a .gguf file, or --from-hub NAME.');
        }
        if (options.fromHub !== undefined) return importFromHub(session, options.fromHub, options);
        if (options.file !== undefined || options.dryRun) {
          throw new ParetuneError('usage', '--file and --dry-run belong to --from-hub.');
        }
        const model = await session.engine('import', { folder: resolve(source!), name: options.as });
        printModel(session, model);
        return model;
      }),
    );
}

async function importFromHub(session: Session, repo: string, options: ImportOptions): Promise<unknown> {
  const { endpoint, token, offline } = readEnvironment().hub;
  if (offline) {
    throw new ParetuneError('network', `HF_HUB_OFFLINE forbids to fetch ${repo}.`, {
      hint: 'Unset HF_HUB_OFFLINE, or copy the folder of the model by hand and import that.',
    });
  }
  const payload = { access: { endpoint, token }, repo, file: options.file, name: options.as, fetch: !options.dryRun };
  const result = await session.engine('import-hub', payload, (item) =>
    session.note(offerText(item as unknown as HubOffer, token !== null)),
  );
  if (result.model) printModel(session, result.model);
  return result;
}

/** What will be fetched, from where, and where to. */
function offerText({ plan, folder, bytesHere }: HubOffer, withToken: boolean): string {
  const rows = plan.files.map((file) => [`  ${file.path}`, bytes(file.bytes)]);
  const lines = [
    `${plan.repo}, revision ${plan.revision} (commit ${plan.commit.slice(0, 12)}), from ${plan.host}${withToken ? ', with the token of HF_TOKEN' : ''}`,
    `licence: ${plan.licence ?? 'the card of the model names none'}`,
    table([{ title: '  file' }, { title: 'size', align: 'right' }], rows),
    `${bytes(plan.bytes)} into ${folder}${bytesHere > 0 ? `, of which ${bytes(bytesHere)} are here from an earlier try` : ''}`,
  ];
  if (plan.pickles.length > 0) {
    lines.push(`left out, since reading a pickle file can run any program: ${plan.pickles.slice(0, 10).join(', ')}`);
  }
  return lines.join('\n');
}

function printModel(session: Session, model: ImportedModel): void {
  session.print(
    `${model.name}: ${model.family}, ${count(model.parameters)} parameters, ${count(model.vocabulary)} tokens, context ${count(model.contextLength)}, ${bytes(model.bytes)}`,
  );
  const { needed, available, verdict } = model.memory;
  const much = verdict === 'fits' ? '' : verdict === 'tight' ? ': tight' : ': too little';
  session.print(
    `an adapter with the default settings needs about ${bytes(needed)} of memory; there are ${bytes(available)}${much}`,
  );
  session.print(
    tryNext(
      `eval --model ${model.name} --task PROBLEMS.jsonl`,
      `tune --model ${model.name} --task PROBLEMS.jsonl --set train.parameters=lora`,
    ),
  );
}
