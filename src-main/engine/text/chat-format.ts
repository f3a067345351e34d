/**
 * A conversation as tokens, for one model and one set of tools: the prompt, what stands between a model turn and the next,
 * what the model meant by its turn, and demonstrations with their loss mask. Tokens that a model sampled are never made
 * from text again; this file only makes what goes around them.
 *
 * Rules
 * 1. Untrusted text (user, tool results, tool descriptions) never becomes a markup token (chat-render.ts).
 * 2. What a template does is found by rendering probes (chat-probes.ts).
 * 3. A template must keep earlier turns as they are, or a rollout and its later rendering are two different texts: checked
 *    for the tool loop when a format is made, and on every demonstration.
 */
import { ParetuneError } from '../../contract/errors.ts';
import type { ChatMessage, ToolSpec } from '../../contract/records.ts';
import { assert } from '../base/assert.ts';
import {
  ANSWERED,
  calledProbe,
  checkPrefix,
  checkTurnsAreKept,
  chooseToolForm,
  endOfTurn,
  PROBE,
} from './chat-probes.ts';
import { guardMessage, guardTool, makeRenderer } from './chat-render.ts';
import type { Tokenizer } from './tokenizer.ts';
import type { ParsedTurn, ToolSyntax } from './tool-syntax.ts';

export type ChatFormat = {
  syntax: ToolSyntax['name'];
  /** whether the template frames tools itself; else they are described in the system message (plain-tools.ts) */
  toolsInTemplate: boolean;
  /** tokens that end a model turn; the first is the template's own */
  stopTokens: number[];
  /** What the template makes of a conversation, as transformers renders it. */
  renderText(
    messages: readonly ChatMessage[],
    tools: readonly ToolSpec[],
    options: { generationPrompt: boolean },
  ): string;
  /** The conversation so far, up to where the model begins to write. Throws `bad-data` where the template refuses it. */
  promptTokens(messages: readonly ChatMessage[]): number[];
  /** What follows a model turn that ended at a stop token with these calls, up to where the model writes again. */
  toolSuffix(results: readonly ToolOutput[]): number[];
  /** What a model turn says; a stop token at its end may be there or not. */
  parseTurn(tokens: readonly number[]): ParsedTurn;
  /**
   * A whole conversation and a mask [T] that is 1 on what the model must write: its text, its calls and the stop token.
   * Ends with the last assistant turn. Throws `bad-data` without one, `unsupported` where the template rewrites turns.
   */
  encodeDemonstration(messages: readonly ChatMessage[]): { tokens: number[]; mask: number[] };
};

export type ToolOutput = { name: string; content: string };

export type ChatFormatOptions = {
  tokenizer: Tokenizer;
  template: string | null;
  tokenizerConfig: Record<string, unknown>;
  eosTokenIds: readonly number[];
  tools: readonly ToolSpec[];
  /** the argument that a tool named so is called with in the tagged syntax */
  primaryArgument: (tool: string) => string;
};

/**
 * The format of a model's conversations with these tools. A template without tools, or with calls that we cannot read
 * back, gets them in the system message instead. Throws `unsupported` (no template, no stop token after a turn, earlier
 * turns rewritten), `bad-file` or `bad-data` (a template that fails on the simplest conversation).
 */
export function makeChatFormat(options: ChatFormatOptions): ChatFormat {
  const { tokenizer, tools, primaryArgument } = options;
  const renderChat = makeRenderer(options.template, options.tokenizerConfig);
  const { syntax, native, prepare } = chooseToolForm(tokenizer, tools, primaryArgument, renderChat);
  const guardedTools = tools.map((tool) => guardTool(tokenizer, tool));
  const render = (messages: readonly ChatMessage[], generationPrompt: boolean): string => {
    const guarded = messages.map((message) => guardMessage(tokenizer, message));
    return renderChat(...prepare(guarded, guardedTools), generationPrompt);
  };

  const turnStop = endOfTurn(tokenizer, render(ANSWERED, false));
  const stopTokens = [...new Set([turnStop.id, ...options.eosTokenIds])];
  const stopTexts = stopTokens.filter((id) => tokenizer.isSpecial(id)).map((id) => tokenizer.tokenOf(id)!);
  const turnEnd = (text: string, from: number): number => {
    const found = stopTexts.map((stop) => ({ at: text.indexOf(stop, from), stop })).filter(({ at }) => at >= 0);
    const [first] = found.sort((a, b) => a.at - b.at);
    return first === undefined ? -1 : first.at + first.stop.length;
  };
  const tool = tools.length === 0 ? null : { name: tools[0].name, argument: primaryArgument(tools[0].name) };
  checkTurnsAreKept(render, tool, turnEnd, options.template!);

  /** The text after the turn that called, from its stop token on. */
  const suffixText = (results: readonly ToolOutput[]): string => {
    const called = calledProbe(tool?.name ?? 'tool', tool?.argument ?? 'input', results.length);
    const text = render(
      [...called, ...results.map(({ name, content }) => ({ role: 'tool', name, content }) as const)],
      true,
    );
    const end = turnEnd(text, text.indexOf(PROBE.call));
    return stopTexts.find((stop) => text.endsWith(stop, end)) + text.slice(end);
  };
  const frames = makeFrames(suffixText);
  const several = syntax.name === 'hermes' && succeeds(() => suffixText([PROBE_RESULT, PROBE_RESULT]));

  return {
    syntax: syntax.name,
    toolsInTemplate: native,
    stopTokens,
    renderText: (messages, some, { generationPrompt }) => renderChat(...prepare(messages, some), generationPrompt),
    promptTokens: (messages) => tokenizer.encodeGuarded(render(messages, true)),
    toolSuffix(results) {
      assert(results.length > 0, 'a tool suffix needs results');
      const frame = frames(results.map(({ name }) => name));
      const text =
        frame?.reduce((sum, part, i) => sum + tokenizer.guard(results[i - 1].content) + part) ?? suffixText(results);
      return encodeAfterStop(tokenizer, text);
    },
    parseTurn(tokens) {
      const ended = stopTokens.includes(tokens.at(-1) ?? -1);
      const turn = syntax.parse(ended ? tokens.slice(0, -1) : tokens);
      if (turn.calls.length < 2 || several) return turn;
      return {
        calls: [],
        text: turn.text,
        malformed: 'several tool calls in one turn, which the chat template cannot show',
      };
    },
    encodeDemonstration: (messages) => encodeDemonstration(messages, render, tokenizer, turnStop.text, stopTexts),
  };
}

const PROBE_RESULT: ToolOutput = { name: 'tool', content: PROBE.result };

/** Encoded with the stop token in front, which is already there in the rollout, so that the tokenizer sees its real surroundings. */
function encodeAfterStop(tokenizer: Tokenizer, textFromStop: string): number[] {
  return tokenizer.encodeGuarded(textFromStop).slice(1);
}

/**
 * What surrounds the results of calls to tools named so, to save a rendering for each of thousands of results; null where
 * the template does not put a result in as it is, which a result with all that templates like to change would show.
 */
function makeFrames(suffixText: (results: ToolOutput[]) => string): (names: string[]) => string[] | null {
  const known = new Map<string, string[] | null>();
  const awkward = ' \n"it\'s" {{ x }} \\n <é & {"a": [1]}>\t\n ';
  return (names) => {
    const key = JSON.stringify(names);
    const frame = known.get(key);
    if (frame !== undefined) return frame;
    const withContent = (content: string) => suffixText(names.map((name) => ({ name, content })));
    const parts = withContent(PROBE.result).split(PROBE.result);
    const asIs = ['', awkward, '1'].every((content) => parts.join(content) === withContent(content));
    const result = asIs && parts.length === names.length + 1 ? parts : null;
    if (known.size < 1_000) known.set(key, result); // a model may invent any number of tool names
    return result;
  };
}

function encodeDemonstration(
  messages: readonly ChatMessage[],
  render: (messages: readonly ChatMessage[], generationPrompt: boolean) => string,
  tokenizer: Tokenizer,
  turnStop: string,
  stopTexts: readonly string[],
): { tokens: number[]; mask: number[] } {
  const tokens: number[] = [];
  const mask: number[] = [];
  const append = (ids: number[], target: 0 | 1) => {
    tokens.push(...ids);
    mask.push(...ids.map(() => target));
  };
  let known = ''; // the text of all turns so far
  for (const [i, message] of messages.entries()) {
    if (message.role !== 'assistant') continue;
    const prompt = render(messages.slice(0, i), true);
    checkPrefix(known, prompt);
    const turn = render(messages.slice(0, i + 1), false);
    checkPrefix(prompt, turn);
    // The last token of the template's kind ends the turn: what the author wrote may hold others, and an end of all text may follow.
    const end = turn.lastIndexOf(turnStop) + turnStop.length;
    assert(end > prompt.length, 'an assistant turn without a stop token');
    const stop = stopTexts.find((text) => known.endsWith(text));
    const between = prompt.slice(known.length);
    append(stop === undefined ? tokenizer.encodeGuarded(between) : encodeAfterStop(tokenizer, stop + between), 0);
    append(tokenizer.encodeGuarded(turn.slice(prompt.length, end)), 1);
    known = turn.slice(0, end);
  }
  if (known === '') {
    throw new ParetuneError('bad-data', 'A demonstration needs an assistant message.', {
      hint: 'Add what the model should have written as messages with the role assistant.',
    });
  }
  return { tokens, mask };
}

function succeeds(action: () => unknown): boolean {
  try {
    action();
    return true;
  } catch {
    return false;
  }
}
