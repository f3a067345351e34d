/**
 * Supervised demonstrations of a tool from data that is no chat: the calculator marks of GSM8K (`<<16-3-4=9>>`) and the
 * equations of SVAMP become tool calls, answered by the real tool. Only training rows do: what a task keeps for selection and
 * report is not shown to a warm start either. Also the reader of JSONL chats that hold tool calls already. Used by the
 * supervised warm start on real models; the starter's demonstrations are the tasks' own.
 */
import { ParetuneError } from '../../contract/errors.ts';
import type { ChatMessage, Json, ToolResult } from '../../contract/records.ts';
import { type JsonObject, type Reading, readAll } from './bounded-json.ts';
import { readMessages } from './chat-rows.ts';
import { plainNumber, readOperations } from './operations.ts';
import { gsm8kAnswer, readTaskRow, svampQuestion, type TaskRow } from './row-shapes.ts';
import type { Demonstration } from './task.ts';
import { splitRows } from './user-task.ts';

/** The tool that demonstrations call: `python` takes a whole expression, `calculator` one operator a call. */
export type TraceTool = {
  name: 'python' | 'calculator';
  call(args: Record<string, Json>): Promise<ToolResult>;
};

export type ToolTraces = {
  demonstrations: Demonstration[];
  /** training rows left out because an expression is no arithmetic, or the tool disagrees with the data */
  skipped: number;
  /** rows of the selection and report splits, as a task of the same file has them, and repeated questions */
  heldOut: number;
};

type Exercise = { question: string; expressions: { text: string; result: number }[]; answer: string };

const hint =
  'Give a GSM8K file (question, answer with <<...>> marks) or a SVAMP file (Body, Question, Equation, Answer).';

/** Demonstrations of the training rows of a GSM8K or SVAMP file, in its order. Throws a ParetuneError for rows of another shape. */
export async function toolTraces(path: string, tool: TraceTool): Promise<ToolTraces> {
  const rows = await readAll(path, hint, readExerciseRow);
  const training = splitRows(rows).filter(({ split }) => split === 'train');
  // a tool with several workers answers several rows at once
  const traces = await Promise.all(training.map(({ row }) => trace(row.exercise, tool)));
  const demonstrations = traces.filter((demonstration) => demonstration !== null);
  return { demonstrations, skipped: training.length - demonstrations.length, heldOut: rows.length - training.length };
}

/** An exercise with what decides its split: the question as a task would read it. */
function readExerciseRow(row: JsonObject): Reading<Pick<TaskRow, 'key' | 'split'> & { exercise: Exercise }> {
  const exercise = readExercise(row);
  if ('complaint' in exercise) return exercise;
  const asked = readTaskRow(row);
  if ('complaint' in asked) return asked;
  const { key, split } = asked.value;
  return { value: { key, split, exercise: exercise.value } };
}

function readExercise(row: JsonObject): Reading<Exercise> {
  const { question, answer, Body, Question, Equation, Answer } = row;
  if (typeof question === 'string' && typeof answer === 'string') {
    const final = gsm8kAnswer(answer);
    if (final === null) return { complaint: 'no number after ####' };
    const marks = [...answer.matchAll(/<<([^<>=]+)=([^<>]+)>>/g)];
    const expressions = marks.map(([, text, result]) => ({ text, result: Number(result.replaceAll(',', '')) }));
    return { value: { question, expressions, answer: final } };
  }
  if (typeof Body === 'string' && typeof Question === 'string' && typeof Equation === 'string') {
    const value = { question: svampQuestion(Body, Question), answer: String(Number(Answer)) };
    return { value: { ...value, expressions: [{ text: Equation, result: Number(Answer) }] } };
  }
  return { complaint: `neither GSM8K nor SVAMP, but the columns ${Object.keys(row).slice(0, 8).join(', ')}` };
}

/** Null where an expression cannot be read, or a result is not the one that the data gives. */
async function trace(exercise: Exercise, tool: TraceTool): Promise<Demonstration | null> {
  if (exercise.expressions.length === 0) return null;
  const messages: ChatMessage[] = [{ role: 'user', content: exercise.question }];
  const ask = async (expression: string): Promise<string | null> => {
    const args: Record<string, Json> = tool.name === 'python' ? { code: expression } : { expression };
    const { status, output } = await tool.call(args);
    messages.push(
      { role: 'assistant', content: '', toolCalls: [{ name: tool.name, arguments: args }] },
      { role: 'tool', name: tool.name, content: output },
    );
    return status === 'ok' ? output.trim() : null;
  };
  for (const { text, result } of exercise.expressions) {
    const operations = readOperations(text);
    // a bare number needs no tool
    if (!operations || operations.steps.length === 0) return null;
    const said = tool.name === 'python' ? await ask(operations.text) : await inSteps(operations.steps, ask);
    if (said === null || !(Math.abs(Number(said) - result) <= 1e-6 * Math.max(1, Math.abs(result)))) return null;
  }
  messages.push({ role: 'assistant', content: exercise.answer });
  return { messages };
}

/** One call an operator; sides that are earlier results take what the tool said. */
async function inSteps(
  steps: NonNullable<ReturnType<typeof readOperations>>['steps'],
  ask: (expression: string) => Promise<string | null>,
): Promise<string | null> {
  const results: string[] = [];
  for (const { left, operator, right } of steps) {
    const side = (operand: number | { step: number }) =>
      typeof operand === 'number' ? plainNumber(operand) : results[operand.step];
    const said = await ask(`${side(left)}${operator}${side(right)}`);
    if (said === null) return null;
    results.push(said);
  }
  return results[results.length - 1];
}

/**
 * The conversations of a JSONL file (`messages`, with `tool_calls` and tool turns; ecosystem conventions of TRL and OpenAI).
 * Throws a ParetuneError that lists the lines that cannot be used.
 */
export async function readDemonstrations(path: string): Promise<Demonstration[]> {
  const wanted =
    'Each row needs `messages`: user and assistant turns, with `tool_calls` and tool turns where tools are used.';
  const read = (row: JsonObject): Reading<Demonstration> => {
    const messages = readMessages(row.messages);
    if ('complaint' in messages) return messages;
    const problem = conversationProblem(messages.value);
    return problem ? { complaint: problem } : { value: { messages: messages.value } };
  };
  const demonstrations = await readAll(path, wanted, read);
  if (demonstrations.length === 0) throw new ParetuneError('bad-data', `${path} holds no conversation.`);
  return demonstrations;
}

/** Why a conversation teaches nothing or could never happen, or null. */
function conversationProblem(messages: ChatMessage[]): string | null {
  if (messages[messages.length - 1].role !== 'assistant') return 'the last message must be the assistant’s answer';
  if (!messages.some((message) => message.role === 'user')) return 'no message of a user';
  let open = 0;
  for (const message of messages) {
    if (message.role === 'tool' && open-- === 0) return 'a tool turn that answers no call';
    if (message.role !== 'tool' && open > 0) return `${open} calls are not answered by a tool turn`;
    if (message.role === 'assistant') open = message.toolCalls?.length ?? 0;
  }
  return open > 0 ? `${open} calls are not answered by a tool turn` : null;
}
