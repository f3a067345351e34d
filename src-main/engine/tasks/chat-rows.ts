/**
 * Conversations as other people's files write them (TRL and OpenAI conventions), read into our ChatMessage. Accepted:
 * `tool_calls` with arguments as an object or as a JSON text, `content` null beside calls. Not a chat template (text/).
 */
import type { ChatMessage, Json, ToolCallRequest } from '../../contract/records.ts';
import { describe, type JsonObject, type Reading } from './bounded-json.ts';

const roles = ['system', 'user', 'assistant', 'tool'] as const;

function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function readToolCall(value: Json): Reading<ToolCallRequest> {
  const call = isObject(value) && isObject(value.function) ? value.function : value;
  if (!isObject(call) || typeof call.name !== 'string') {
    return { complaint: `a tool call is ${describe(value)}; it must be {"name", "arguments"}` };
  }
  let args: Json | undefined = call.arguments;
  if (typeof args === 'string') {
    try {
      args = JSON.parse(args) as Json;
    } catch {
      args = undefined;
    }
  }
  if (isObject(args)) return { value: { name: call.name, arguments: args } };
  return { complaint: `the arguments of the call of ${call.name} are ${describe(call.arguments)}, not an object` };
}

function readMessage(value: Json): Reading<ChatMessage> {
  if (!isObject(value)) return { complaint: `a message is ${describe(value)}, not an object` };
  const role = roles.find((known) => known === value.role);
  if (!role) return { complaint: `a message has the role ${describe(value.role)}, not one of ${roles.join(', ')}` };
  const rawCalls = role === 'assistant' ? (value.tool_calls ?? value.toolCalls ?? []) : [];
  if (!Array.isArray(rawCalls)) return { complaint: `tool_calls is ${describe(rawCalls)}, not a list` };
  const toolCalls: ToolCallRequest[] = [];
  for (const raw of rawCalls) {
    const call = readToolCall(raw);
    if ('complaint' in call) return call;
    toolCalls.push(call.value);
  }
  const content = toolCalls.length > 0 ? (value.content ?? '') : value.content;
  if (typeof content !== 'string') return { complaint: `the content of a message is ${describe(content)}, not a text` };
  const message: ChatMessage = { role, content };
  if (toolCalls.length > 0) message.toolCalls = toolCalls;
  if (role === 'tool' && typeof value.name === 'string') message.name = value.name;
  return { value: message };
}

/** A list of messages, at least one. */
export function readMessages(value: Json | undefined): Reading<ChatMessage[]> {
  if (!Array.isArray(value) || value.length === 0) {
    return { complaint: `\`messages\` is ${describe(value)}, not a list of messages` };
  }
  const messages: ChatMessage[] = [];
  for (const raw of value) {
    const message = readMessage(raw);
    if ('complaint' in message) return message;
    messages.push(message.value);
  }
  return { value: messages };
}
