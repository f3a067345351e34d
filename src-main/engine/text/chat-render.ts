/**
 * Our messages in the form that chat templates expect, and the guard that keeps untrusted text in them from becoming
 * markup. It renders; what the rendering means for tokens is chat-format.ts's matter.
 */
import { ParetuneError } from '../../contract/errors.ts';
import type { ChatMessage, Json, ToolSpec } from '../../contract/records.ts';
import { compileChatTemplate } from './chat-template.ts';
import type { Tokenizer } from './tokenizer.ts';

export type RenderChat = (
  messages: readonly ChatMessage[],
  tools: readonly ToolSpec[],
  generationPrompt: boolean,
) => string;

/** The renderer of a model, equal to transformers' apply_chat_template. Throws `unsupported` without a template. */
export function makeRenderer(template: string | null, tokenizerConfig: Record<string, unknown>): RenderChat {
  if (template === null) {
    throw new ParetuneError('unsupported', 'The model has no chat template.', {
      hint: 'Put a chat_template.jinja into the model folder, e.g. the one of the instruction-tuned model of the same family.',
    });
  }
  const compiled = compileChatTemplate(template);
  const specialTokens = Object.fromEntries(
    ['bos_token', 'eos_token', 'unk_token', 'pad_token'].flatMap((key) => {
      const value = tokenizerConfig[key];
      const text = typeof value === 'object' && value !== null ? (value as { content?: unknown }).content : value;
      return typeof text === 'string' ? [[key, text]] : [];
    }),
  );
  return (messages, tools, generationPrompt) =>
    compiled({
      ...specialTokens,
      messages: messages.map(({ toolCalls, ...message }) => {
        if (toolCalls === undefined || toolCalls.length === 0) return message;
        return { ...message, tool_calls: toolCalls.map((call) => ({ type: 'function', function: call })) };
      }),
      tools: tools.length === 0 ? null : tools.map((tool) => ({ type: 'function', function: tool })),
      documents: null,
      add_generation_prompt: generationPrompt,
    });
}

/** The message with the markup in untrusted text made harmless. System and assistant text is the author's own and may hold markup. */
export function guardMessage(tokenizer: Tokenizer, message: ChatMessage): ChatMessage {
  const trusted = message.role === 'system' || message.role === 'assistant';
  const guarded: ChatMessage = { ...message, content: tokenizer.guard(message.content, trusted) };
  if (message.toolCalls !== undefined) {
    guarded.toolCalls = mapStrings(message.toolCalls, (text) =>
      tokenizer.guard(text, true),
    ) as typeof message.toolCalls;
  }
  return guarded;
}

/** The description of a tool with its markup made harmless: it may come from a server of somebody else. */
export function guardTool(tokenizer: Tokenizer, tool: ToolSpec): ToolSpec {
  return mapStrings(tool, (text) => tokenizer.guard(text)) as ToolSpec;
}

/** A JSON value with every string in it, keys too, replaced. */
function mapStrings(value: Json, map: (text: string) => string): Json {
  if (typeof value === 'string') return map(value);
  if (Array.isArray(value)) return value.map((item) => mapStrings(item, map));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [map(key), mapStrings(item, map)]));
}
