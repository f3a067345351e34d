/** `paretune demo | import | sft | export | chat`: agents in and out. */
import { createInterface } from 'node:readline/promises';
import { resolve } from 'node:path';
import { type Command, Option } from 'commander';
import { ParetuneError } from '../../contract/errors.ts';
import type { ChatMessage } from '../../contract/records.ts';
import { defaultMethod, methodNames } from '../../contract/run-config.ts';
import { act, examples, wholeNumber } from '../command-line.ts';
import { importCommand } from './import.ts';
import { beforeAfter, frontierText, tryNext } from '../run-output.ts';
import type { Session } from '../session.ts';
import { bytes, change, cost, count, duration, percent, table } from '../table.ts';

const collect = (value: string, all: string[] = []) => [...all, value];
const isPath = (text: string) => !/^(starter|imported):/.test(text);
const modelArgument = (text: string) => (isPath(text) ? resolve(text) : text);

export function agentCommands(program: Command): void {
  program
    .command('demo')
    .description('tune the bundled agent, which calls its tools too often, on both built-in tasks, and export it')
    .option('--steps <n>', 'training steps', '60')
    .option('--seed <n>', 'seed of everything random', '0')
    .addOption(new Option('--method <method>', 'the algorithm').choices([...methodNames]).default(defaultMethod))
    .option('--problems <n>', 'report problems of each task for the comparison', '1000')
    .option('--to <folder>', 'where the ONNX model goes; below the data folder if absent')
    .addHelpText('after', examples('demo', 'demo --method paretopo --seed 1 --json'))
    .action(
      act<{ steps: string; seed: string; method: (typeof methodNames)[number]; problems: string; to?: string }>(
        async (session, options) => {
          const result = await session.engine('demo', {
            steps: wholeNumber('--steps', options.steps, 1),
            seed: wholeNumber('--seed', options.seed),
            method: options.method,
            model: 'starter:over-user',
            tasks: ['arithmetic', 'multi-hop'],
            problems: wholeNumber('--problems', options.problems, 8),
            threads: 0,
            to: options.to === undefined ? undefined : resolve(options.to),
          });
          const { run, report } = result;
          session.print(beforeAfter(`both tasks, ${report.after.n} report problems`, report));
          const { difference, low, high } = result.successChange;
          const points = (share: number) => (100 * share).toFixed(1);
          session.print(
            `success changed by ${points(difference)} points (${points(low)} to ${points(high)}, the same problems before and after)`,
          );
          const rows = Object.entries(result.tasks).map(([task, { before, after, hypervolume }]) => [
            task,
            `${percent(before.success)} -> ${percent(after.success)}`,
            `${cost(before.cost)} -> ${cost(after.cost)} (${change(before.cost, after.cost)})`,
            `${hypervolume.before.toFixed(3)} -> ${hypervolume.after.toFixed(3)}`,
          ]);
          session.print(
            `\n${table(
              ['task', 'success', 'tool cost', 'hypervolume'].map((title) => ({ title })),
              rows,
            )}`,
          );
          session.print(
            `\nFrontier on selection problems (x start, o frontier, . dominated)\n\n${frontierText(run, session.columns)}`,
          );
          if (run.hypervolume)
            session.print(`\nhypervolume ${run.hypervolume.before.toFixed(3)} -> ${run.hypervolume.after.toFixed(3)}`);
          session.print(`\nSQLite log of every trajectory: ${result.database}`);
          session.print(`ONNX model of step ${result.chosenStep}:     ${result.export}`);
          session.print(`took ${duration(result.seconds * 1000)}`);
          session.print(
            tryNext(
              `show ${run.runId}`,
              `chat --run ${run.runId} --task arithmetic`,
              `rescore ${run.runId} --price search=3`,
              'tune --model starter:under-user --task arithmetic-calculator --steps 96',
              'tune --model YOUR_MODEL_FOLDER --task YOUR_PROBLEMS.jsonl --set train.parameters=lora',
            ),
          );
          return result;
        },
      ),
    );

  importCommand(program);

  program
    .command('models')
    .description(
      'the bundled agents and the imported models, and the memory that an adapter with the default settings needs',
    )
    .option('--remove-unfinished <name>', 'remove what an import that did not come to its end left behind')
    .addHelpText('after', examples('models', 'models --json', 'models --remove-unfinished SmolLM2-135M-Instruct'))
    .action(
      act<{ removeUnfinished?: string }>(async (session, { removeUnfinished: remove }) => {
        const { unfinished } = await session.engine('unfinished-imports', { remove });
        const { models } = await session.engine('window-models', {});
        const columns = ['model', 'family', 'parameters', 'context', 'size', 'memory'].map((title) => ({ title }));
        const rows = models.map((model) =>
          model.problem
            ? [model.name, '-', '-', '-', '-', '-']
            : [
                model.name,
                model.family,
                count(model.parameters),
                count(model.contextLength),
                bytes(model.bytes),
                bytes(model.memory?.needed ?? 0),
              ],
        );
        session.print(table(columns, rows));
        for (const { name, problem } of models) if (problem) session.print(`${name}: ${problem}`);
        for (const { name, bytes: size, from } of unfinished) {
          const source = from ? ` of ${from}` : '';
          session.print(
            `unfinished: ${name}, ${bytes(size)}; the same import${source} goes on from there, models --remove-unfinished ${name} removes it`,
          );
        }
        return { models, unfinished };
      }),
    );

  program
    .command('sft')
    .requiredOption('-m, --model <model>', 'model folder, starter:NAME or imported:NAME')
    .requiredOption(
      '-d, --demonstrations <file>',
      'JSONL chats with tool calls, or with --traces the training rows of GSM8K / SVAMP; may be repeated',
      collect,
    )
    .requiredOption('--to <folder>', 'where the new model goes')
    .addOption(
      new Option('--traces <tool>', 'make tool traces from GSM8K or SVAMP rows').choices(['python', 'calculator']),
    )
    .option('--steps <n>', 'updates', '200')
    .option('--batch <n>', 'demonstrations an update', '64')
    .option('--learning-rate <x>', 'peak learning rate', '1e-3')
    .option('--max-tokens <n>', 'longest demonstration', '160')
    .option('--lora <rank>', 'train an adapter of this rank and merge it; 0 trains all weights', '0')
    .option('--seed <n>', 'seed', '0')
    .description('supervised warm start on demonstrations; loss on what the assistant writes only')
    .addHelpText(
      'after',
      examples(
        'sft --model ./base --demonstrations chats.jsonl --to ./warm',
        'sft -m ./base -d gsm8k-train.jsonl -d svamp.jsonl --traces python --to ./warm --lora 16 --learning-rate 2e-4',
      ),
    )
    .action(
      act<{
        model: string;
        demonstrations: string[];
        to: string;
        traces?: 'python' | 'calculator';
        steps: string;
        batch: string;
        learningRate: string;
        maxTokens: string;
        lora: string;
        seed: string;
      }>(async (session, options) => {
        const result = await session.engine('sft', {
          model: modelArgument(options.model),
          demonstrations: options.demonstrations.map((file) => resolve(file)),
          traces: options.traces ?? 'none',
          to: resolve(options.to),
          steps: wholeNumber('--steps', options.steps, 1),
          batchSize: wholeNumber('--batch', options.batch, 1),
          learningRate: Number(options.learningRate),
          maxTokens: wholeNumber('--max-tokens', options.maxTokens, 8),
          loraRank: wholeNumber('--lora', options.lora),
          seed: wholeNumber('--seed', options.seed),
          threads: 0,
        });
        session.print(
          `${result.demonstrations} demonstrations (${result.leftOut} left out, ${result.heldOut} kept for selection and report), ${result.steps} updates, loss ${result.loss.before.toFixed(3)} -> ${result.loss.after.toFixed(3)}, ${duration(result.seconds * 1000)}`,
        );
        if (result.before > 0) session.print(`went on from update ${result.before}`);
        if (result.steps < result.of)
          session.print(`stopped at update ${result.steps} of ${result.of}; the same command goes on from there`);
        session.print(
          `saved in ${result.folder}${tryNext(`eval --model ${result.folder} --task PROBLEMS.jsonl`, `tune --model ${result.folder} --task PROBLEMS.jsonl`)}`,
        );
        return result;
      }),
    );

  program
    .command('export')
    .argument('<run>', 'name of a run, the beginning of it, or last')
    .requiredOption('--to <folder>', 'a new folder')
    .option('--checkpoint <name>', 'best, last, frontier:K or a step', 'best')
    .addOption(
      new Option('--for <runtime>', 'who will load it').choices(['genai', 'transformers.js', 'all']).default('all'),
    )
    .option('--variant <name>', 'fp32, fp16 or q4; may be repeated', collect)
    .option('--problems <n>', 'report problems of each task that the card speaks of', '500')
    .description('export a checkpoint as an ONNX folder for onnxruntime-genai and transformers.js, with a card')
    .addHelpText(
      'after',
      examples(
        'export last --to ./agent',
        'export demo-1 --checkpoint frontier:1 --variant fp32 --variant q4 --to ./cheap-agent',
      ),
    )
    .action(
      act<{
        to: string;
        checkpoint: string;
        for: 'genai' | 'transformers.js' | 'all';
        variant?: string[];
        problems: string;
      }>(async (session, options, run) => {
        const result = await session.engine('export', {
          run,
          checkpoint: options.checkpoint,
          to: resolve(options.to),
          target: options.for,
          variants: (options.variant ?? ['fp32']) as ('fp32' | 'fp16' | 'q4')[],
          problems: wholeNumber('--problems', options.problems, 1),
        });
        const columns = ['variant', 'success', 'cost', 'largest logit difference', 'greedy tokens equal'].map(
          (title) => ({ title }),
        );
        const rows = result.variants.map((v) => [
          v.variant,
          percent(v.success),
          cost(v.cost),
          v.logitDifference.toExponential(1),
          percent(v.greedyAgreement),
        ]);
        session.print(
          `${table(columns, rows)}\n\nstep ${result.step} of ${result.run}: ${result.folder} (${bytes(result.bytes)})`,
        );
        return result;
      }),
    );

  program
    .command('chat')
    .option('--run <run>', 'a run; without it the model of --model as it is')
    .option('--checkpoint <name>', 'best, last, frontier:K or a step', 'best')
    .option('-m, --model <model>', 'model folder, starter:NAME or imported:NAME', 'starter:over-user')
    .option('-t, --task <task>', 'whose tools and corpus it may use', 'arithmetic')
    .option('--temperature <x>', '0 takes the likeliest token', '0')
    .argument('[message]', 'one question; without it, a conversation')
    .description('talk to an agent and watch its tool calls')
    .addHelpText(
      'after',
      examples(
        "chat '34*7+5'",
        "chat --run last --task multi-hop 'guild of Fonua ?'",
        'chat --model imported:my-agent --task problems.jsonl',
      ),
    )
    .action(
      act<{ run?: string; checkpoint: string; model: string; task: string; temperature: string }>(
        async (session, options, message) => {
          const temperature = Number(options.temperature);
          if (!(temperature >= 0 && temperature <= 10))
            throw new ParetuneError('usage', `--temperature is ${options.temperature}; it must lie between 0 and 10.`);
          const ask = async (messages: ChatMessage[]) => {
            const answer = await session.engine('chat', {
              run: options.run,
              checkpoint: options.checkpoint,
              model: modelArgument(options.model),
              task: options.task,
              tools: [],
              messages,
              temperature,
              seed: 0,
              answer: 0,
            });
            printAnswer(session, answer);
            return answer;
          };
          if (message !== undefined) return ask([{ role: 'user', content: message }]);
          return { messages: await converse(session, ask) };
        },
      ),
    );
}

type Answer = { messages: ChatMessage[]; stopReason: string; cost: number };

function printAnswer(session: Session, { messages, stopReason, cost: spent }: Answer): void {
  for (const message of messages) {
    for (const call of message.toolCalls ?? [])
      session.print(`  -> ${call.name}(${Object.values(call.arguments).map(String).join(', ')})`);
    if (message.role === 'tool') session.print(`  <- ${message.content}`);
    else if (message.content) session.print(message.content);
  }
  if (stopReason !== 'answer') session.print(`(ended: ${stopReason})`);
  session.print(`  cost ${cost(spent)}`);
}

/** Questions from standard input until it ends or an empty line; each stands for itself after `/new`. */
async function converse(session: Session, ask: (messages: ChatMessage[]) => Promise<Answer>): Promise<ChatMessage[]> {
  const terminal = process.stdin.isTTY === true;
  const lines = createInterface({ input: process.stdin, output: process.stderr, terminal, prompt: '> ' });
  let messages: ChatMessage[] = [];
  let open = true;
  lines.once('close', () => {
    open = false;
  });
  session.note('An empty line ends the conversation, /new begins another one.');
  lines.prompt();
  // the iterator keeps lines that come while an answer is written, and ends with the input
  for await (const typed of lines) {
    const line = typed.trim();
    if (line === '') break;
    if (line === '/new') messages = [];
    else {
      messages.push({ role: 'user', content: line });
      messages.push(...(await ask(messages)).messages);
    }
    if (open) lines.prompt();
  }
  lines.close();
  return messages;
}
