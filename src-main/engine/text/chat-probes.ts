/**
 * What a chat template does, found by rendering conversations with unmistakable contents instead of knowing templates:
 * how it frames tools, what ends a turn, and whether it keeps earlier turns as they were.
 */
import { ParetuneError } from '../../contract/errors.ts';
import type { ChatMessage, ToolSpec } from '../../contract/records.ts';
import type { RenderChat } from './chat-render.ts';
import { withPlainTools } from './plain-tools.ts';
import type { Tokenizer } from './tokenizer.ts';
import { hermesSyntax, parseHermes, type ToolSyntax, taggedSyntax } from './tool-syntax.ts';

/** Contents that no template changes and no conversation holds. */
export const PROBE = { question: 'Zquestionz', call: 'Zcallz', result: 'Zresultz', answer: 'Zanswerz' };
const QUESTION: ChatMessage = { role: 'user', content: PROBE.question };

/** A question and its plain answer. */
export const ANSWERED: ChatMessage[] = [QUESTION, { role: 'assistant', content: PROBE.answer }];

/** A question and a turn of this many tool calls, the last of which ends in PROBE.call. */
export function calledProbe(tool: string, argument: string, count: number, content = ''): ChatMessage[] {
  const toolCalls = Array.from({ length: count }, () => ({ name: tool, arguments: { [argument]: PROBE.call } }));
  return [QUESTION, { role: 'assistant', content, toolCalls }];
}

export type ToolForm = {
  syntax: ToolSyntax;
  /** whether the template frames tools itself */
  native: boolean;
  /** what to hand to the template for these messages and tools */
  prepare(messages: readonly ChatMessage[], tools: readonly ToolSpec[]): [readonly ChatMessage[], readonly ToolSpec[]];
};

/**
 * How a model gets its tools. In order: `tagged` where the vocabulary has a special token for each and the template uses
 * it; `hermes` as the template frames it; else `hermes` in plain messages. The last is also what a template with calls
 * in another syntax gets (Llama 3's bare JSON): its model then learns this form in tuning.
 */
export function chooseToolForm(
  tokenizer: Tokenizer,
  tools: readonly ToolSpec[],
  primaryArgument: (tool: string) => string,
  render: RenderChat,
): ToolForm {
  const native = (syntax: ToolSyntax): ToolForm => ({
    syntax,
    native: true,
    prepare: (messages, some) => [messages, some],
  });
  const hermes = hermesSyntax(tokenizer);
  if (tools.length === 0) return native(hermes);
  const [{ name }] = tools;
  const tried = (messages: ChatMessage[], some: readonly ToolSpec[]): string => {
    try {
      return render(messages, some, false);
    } catch {
      return ''; // a template that refuses a role is as good as one that leaves it out
    }
  };
  const told = tried(
    [...calledProbe(name, primaryArgument(name), 1), { role: 'tool', name, content: PROBE.result }],
    tools,
  );
  const written = told.slice(told.indexOf(PROBE.question), told.indexOf(PROBE.result));
  if (told.includes(PROBE.result)) {
    const tagged = taggedSyntax(tokenizer, tools, primaryArgument);
    if (tagged !== null && written.includes(`<|${name}|>${PROBE.call}`)) return native(tagged);
    const described = tried([QUESTION], tools);
    const { calls } = parseHermes(written);
    if (calls.length === 1 && calls[0].name === name && tools.every((tool) => described.includes(tool.name)))
      return native(hermes);
  }
  const systemRole = tried([{ role: 'system', content: PROBE.answer }, QUESTION], []).includes(PROBE.answer);
  return {
    syntax: hermes,
    native: false,
    prepare: (messages, some) => [withPlainTools(messages, some, systemRole), []],
  };
}

/** The first special token after the answer in a rendering of ANSWERED: what ends a turn. Throws `unsupported` without one. */
export function endOfTurn(tokenizer: Tokenizer, answered: string): { id: number; text: string } {
  const start = answered.indexOf(PROBE.answer);
  const tail = answered.slice(start + PROBE.answer.length);
  const [end] = [...tokenizer.specials]
    .map(([text, id]) => ({ id, text, at: tail.indexOf(text) }))
    .filter(({ at }) => at >= 0)
    .sort((a, b) => a.at - b.at || b.text.length - a.text.length);
  if (start >= 0 && end !== undefined) return { id: end.id, text: end.text };
  throw new ParetuneError('unsupported', "The chat template does not end an assistant's turn with a special token.", {
    hint: 'Generation could not know where a turn ends. Use a chat template that closes each turn, e.g. with the eos token.',
  });
}

/**
 * Plays one tool loop, or one answer where there is no tool, and checks that each rendering begins with the one before.
 * `turnEnd` gives the end of the first stop token at or after a place, -1 without one. Throws `unsupported`.
 */
export function checkTurnsAreKept(
  render: (messages: readonly ChatMessage[], generationPrompt: boolean) => string,
  tool: { name: string; argument: string } | null,
  turnEnd: (text: string, from: number) => number,
  template: string,
): void {
  if (tool === null) {
    checkPrefix(render([QUESTION], true), render(ANSWERED, false));
    return;
  }
  // Templates of reasoning models treat a turn without thoughts in its own way: give it one.
  const thought = template.includes('</think>') ? '<think>\nZthoughtz\n</think>\n\n' : '';
  const called = calledProbe(tool.name, tool.argument, 1, thought);
  const told: ChatMessage[] = [...called, { role: 'tool', name: tool.name, content: PROBE.result }];
  const turn = render(called, false);
  const end = turnEnd(turn, turn.indexOf(PROBE.call));
  if (end < 0) {
    throw new ParetuneError('unsupported', 'The chat template does not end a tool call with a stop token.', {
      hint: HINT,
    });
  }
  const prompt = render(told, true);
  checkPrefix(render([QUESTION], true), turn);
  checkPrefix(turn.slice(0, end), prompt);
  checkPrefix(prompt, render([...told, { role: 'assistant', content: thought + PROBE.answer }], false));
}

const HINT =
  'Put a chat_template.jinja into the model folder that renders every earlier message the same way however the conversation goes on.';

/** Throws `unsupported` where a longer conversation does not begin with the text of the shorter one. */
export function checkPrefix(shorter: string, longer: string): void {
  if (longer.startsWith(shorter)) return;
  let same = 0;
  while (shorter[same] === longer[same]) same++;
  const excerpt = (text: string) => JSON.stringify(text.slice(Math.max(0, same - 20), same + 40));
  throw new ParetuneError(
    'unsupported',
    `The chat template rewrites earlier turns: ${excerpt(shorter)} becomes ${excerpt(longer)} when the conversation goes on.`,
    { hint: HINT },
  );
}
