/**
 * Tools for chat templates that know none (or that write calls in a syntax we cannot read): the conversation is turned
 * into one of plain messages in Hermes' form. The tools are described in the system message, calls become text of the
 * assistant, results text of the user. Only the wording is ours; the markup is that of Hermes and Qwen.
 */
import type { ChatMessage, ToolCallRequest, ToolSpec } from '../../contract/records.ts';

/** One call as the model must write it. */
export function plainToolCall({ name, arguments: args }: ToolCallRequest): string {
  return `<tool_call>\n${JSON.stringify({ name, arguments: args })}\n</tool_call>`;
}

/** The same conversation without tool messages and tool calls. `systemRole: false` puts the description before the first user message. */
export function withPlainTools(
  messages: readonly ChatMessage[],
  tools: readonly ToolSpec[],
  systemRole: boolean,
): ChatMessage[] {
  const result: ChatMessage[] = [];
  for (const [i, message] of messages.entries()) {
    if (message.role === 'tool') {
      const response = `<tool_response>\n${message.content}\n</tool_response>`;
      // Results in a row answer one turn, so they are one message.
      if (messages[i - 1]?.role === 'tool') result.at(-1)!.content += `\n${response}`;
      else result.push({ role: 'user', content: response });
    } else if (message.role === 'assistant') {
      const parts = [message.content, ...(message.toolCalls ?? []).map(plainToolCall)];
      result.push({ role: 'assistant', content: parts.filter((part) => part !== '').join('\n') });
    } else {
      result.push({ ...message });
    }
  }
  if (tools.length === 0) return result;
  const first = result[0];
  if (first?.role === 'system') first.content = `${first.content}\n\n${describe(tools)}`;
  else if (systemRole) result.unshift({ role: 'system', content: describe(tools) });
  else if (first !== undefined) first.content = `${describe(tools)}\n\n${first.content}`;
  return result;
}

function describe(tools: readonly ToolSpec[]): string {
  return [
    'You can call tools. Each of these lines describes one:',
    ...tools.map((tool) => JSON.stringify(tool)),
    'To call a tool, write its name and arguments as JSON in this form:',
    '<tool_call>\n{"name": "NAME", "arguments": {"ARGUMENT": "VALUE"}}\n</tool_call>',
    'Its result comes back between <tool_response> and </tool_response>. When you know the answer, write it without a tool call.',
  ].join('\n');
}
