/**
 * Remembers the answers of a tool. Right only because a call is a pure function of its arguments (tool.ts): in a group of
 * sixteen rollouts most calls are the same few. A time-out is not remembered, since it depends on the machine.
 */
import type { ToolResult } from '../../contract/records.ts';
import type { Tool } from './tool.ts';

/** The same tool, keeping the last `entries` different calls. The time of a remembered answer is the time it took now. */
export function memoised(tool: Tool, entries = 4096): Tool {
  // a Map keeps the order of insertion: the first key is the one unused for longest
  const known = new Map<string, Promise<ToolResult>>();
  return {
    ...tool,
    async call(args) {
      const start = performance.now();
      const key = JSON.stringify(args);
      const remembered = known.get(key);
      const answer = remembered ?? tool.call(args);
      known.delete(key);
      known.set(key, answer);
      if (known.size > entries) known.delete(known.keys().next().value!);
      const forget = () => {
        if (known.get(key) === answer) known.delete(key);
      };
      try {
        const result = await answer;
        if (result.status === 'timeout') forget();
        return remembered ? { ...result, milliseconds: performance.now() - start } : result;
      } catch (error) {
        forget();
        throw error;
      }
    },
  };
}
