/** Trying a tool by hand: calls from a JSON value, in order, through one warm tool. What `paretune tools try` prints. */
import { ParetuneError } from '../../contract/errors.ts';
import type { Json, ToolResult } from '../../contract/records.ts';
import type { Tool } from './tool.ts';

function argumentsOf(tool: Tool, input: Json, index: number): Record<string, Json> {
  if (typeof input === 'string') return { [tool.primaryArgument]: input };
  if (typeof input === 'object' && input !== null && !Array.isArray(input)) return input;
  throw new ParetuneError('usage', `Input ${index + 1} of the tool ${tool.spec.name} is ${JSON.stringify(input)}.`, {
    hint: `Give an object of arguments such as {"${tool.primaryArgument}": "..."}, a text, or an array of these.`,
  });
}

/**
 * Runs the calls one after the other and gives their results in order; `onResult` sees each as it comes. An input is an
 * object of arguments, or a text for the primary argument. All inputs are checked before the first call.
 */
export async function tryCalls(
  tool: Tool,
  inputs: readonly Json[],
  onResult: (result: ToolResult, index: number) => void = () => {},
): Promise<ToolResult[]> {
  const calls = inputs.map((input, i) => argumentsOf(tool, input, i));
  const results: ToolResult[] = [];
  for (const args of calls) {
    const result = await tool.call(args);
    onResult(result, results.length);
    results.push(result);
  }
  return results;
}
