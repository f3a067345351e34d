/** The canary call of a tool: a question whose answer is known, asked before a run starts. It never throws: health is data. */
import type { Json } from '../../contract/records.ts';
import type { Tool, ToolHealth } from './tool.ts';

/** Calls the tool and compares: ok when the status is `ok` and the output is the expected text. */
export async function checkAnswer(tool: Tool, args: Record<string, Json>, expected: string): Promise<ToolHealth> {
  const start = performance.now();
  const finish = (ok: boolean, message: string) => ({ ok, message, milliseconds: performance.now() - start });
  try {
    const { status, output } = await tool.call(args);
    if (status === 'ok' && output === expected) return finish(true, 'ok');
    return finish(false, `${JSON.stringify(args)} gave ${status} ${JSON.stringify(output)} instead of ${expected}`);
  } catch (error) {
    return finish(false, error instanceof Error ? error.message : String(error));
  }
}
