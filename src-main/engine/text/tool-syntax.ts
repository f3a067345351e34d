/**
 * How a model writes a tool call, read back from the tokens of one turn. Two syntaxes behind one type: `hermes` (JSON
 * between <tool_call> and </tool_call>, as Hermes and Qwen do) and `tagged` (our starter agents: the tool's own special
 * token, then its primary argument as plain text). What a turn looks like in a template is chat-format.ts's matter.
 */
import { z } from 'zod';
import type { ToolCallRequest, ToolSpec } from '../../contract/records.ts';
import type { Tokenizer } from './tokenizer.ts';

/** `text` is what the model wrote beside its calls. `malformed` says what is wrong with the markup; `calls` is then empty. */
export type ParsedTurn = { calls: ToolCallRequest[]; text: string; malformed: string | null };

export type ToolSyntax = {
  name: 'hermes' | 'tagged';
  /** Reads one turn of the model, without its stop token. Never throws: the model wrote it. */
  parse(tokens: readonly number[]): ParsedTurn;
};

const json = z.json();
const callSchema = z.looseObject({ name: z.string().min(1), arguments: z.record(z.string(), json).default({}) });

const OPEN = '<tool_call>';
const CLOSE = '</tool_call>';

/** `<tool_call>{"name": ..., "arguments": {...}}</tool_call>`, any number a turn; arguments may be an object or its JSON text. */
export function hermesSyntax(tokenizer: Tokenizer): ToolSyntax {
  return {
    name: 'hermes',
    parse(tokens) {
      const turn = parseHermes(tokenizer.decode(tokens, { skipSpecial: false }));
      if (turn.calls.length === 0) return turn;
      const stray = tokens.find((id) => tokenizer.isSpecial(id) && !isCallMarkup(tokenizer.tokenOf(id)));
      return stray === undefined ? turn : strayToken(tokenizer, stray, turn.text);
    },
  };
}

/** The calls in the text of one turn. */
export function parseHermes(turn: string): ParsedTurn {
  const calls: ToolCallRequest[] = [];
  let rest = withoutThoughts(turn);
  let text = '';
  const malformed = (what: string) => ({ calls: [], text: text.trim(), malformed: what });
  for (let open = rest.indexOf(OPEN); open >= 0; open = rest.indexOf(OPEN)) {
    text += rest.slice(0, open);
    const close = rest.indexOf(CLOSE, open);
    if (close < 0) return malformed(`${OPEN} without ${CLOSE}`);
    const call = parseCall(rest.slice(open + OPEN.length, close));
    if (typeof call === 'string') return malformed(call);
    calls.push(call);
    rest = rest.slice(close + CLOSE.length);
  }
  return { calls, text: (text + rest).trim(), malformed: null };
}

/** A turn that calls a tool and then plays other roles too is not a call we can trust to be meant. */
function strayToken(tokenizer: Tokenizer, id: number, text: string): ParsedTurn {
  return { calls: [], text, malformed: `${tokenizer.tokenOf(id)} in a turn with a tool call` };
}

/** Reasoning models think between <think> and </think>; what they consider there is neither answer nor call. */
function withoutThoughts(text: string): string {
  const end = text.lastIndexOf('</think>');
  return end < 0 ? text : text.slice(end + '</think>'.length);
}

function isCallMarkup(token: string | null): boolean {
  return token === OPEN || token === CLOSE || token === '<think>' || token === '</think>';
}

/** The call, or what is wrong with it. */
function parseCall(text: string): ToolCallRequest | string {
  try {
    const value = JSON.parse(text);
    if (typeof value?.arguments === 'string') value.arguments = JSON.parse(value.arguments);
    const call = callSchema.safeParse(value);
    return call.success
      ? { name: call.data.name, arguments: call.data.arguments }
      : 'a tool call must be {"name": text, "arguments": object}';
  } catch (error) {
    return `a tool call is not valid JSON: ${(error as Error).message}`;
  }
}

/**
 * `<|NAME|>ARGUMENT` to the end of the turn: at most one call a turn, for tools that are called with one text. Null where
 * the vocabulary has no special token for one of the tools, or there are none.
 */
export function taggedSyntax(
  tokenizer: Tokenizer,
  tools: readonly ToolSpec[],
  primaryArgument: (tool: string) => string,
): ToolSyntax | null {
  const toolOf = new Map<number, string>();
  for (const { name } of tools) {
    const id = tokenizer.specials.get(`<|${name}|>`);
    if (id === undefined) return null;
    toolOf.set(id, name);
  }
  if (toolOf.size === 0) return null;
  const decode = (tokens: readonly number[]) => tokenizer.decode(tokens, { skipSpecial: false }).trim();
  return {
    name: 'tagged',
    parse(tokens) {
      const start = tokens.findIndex((id) => toolOf.has(id));
      if (start < 0) return { calls: [], text: decode(tokens), malformed: null };
      const text = decode(tokens.slice(0, start));
      const argument = tokens.slice(start + 1);
      const stray = [...tokens.slice(0, start), ...argument].find((id) => tokenizer.isSpecial(id));
      if (stray !== undefined) return strayToken(tokenizer, stray, text);
      const name = toolOf.get(tokens[start])!;
      return { calls: [{ name, arguments: { [primaryArgument(name)]: decode(argument) } }], text, malformed: null };
    },
  };
}
