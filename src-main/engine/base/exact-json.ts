/**
 * JSON that gives numbers back as they were: plain JSON.stringify turns -0 into 0 and infinities into null. The result
 * is standard JSON (an infinity is the literal 1e999, which every parser reads as one); NaN has no literal and stays null.
 */

/** JSON.rawJSON: in V8 since Node 21, not yet in TypeScript's library. */
const { rawJSON } = JSON as unknown as { rawJSON(text: string): unknown };

/** The text that JSON.parse turns back into an equal value; NaN becomes null. Throws TypeError for what JSON cannot hold at all. */
export function exactJson(value: unknown, indent = 0): string {
  const text = JSON.stringify(value, keepNumber, indent);
  if (text === undefined) throw new TypeError(`${typeof value} has no JSON form`);
  return text;
}

function keepNumber(_key: string, value: unknown): unknown {
  if (typeof value !== 'number') return value;
  if (Object.is(value, -0)) return rawJSON('-0');
  if (value === Infinity) return rawJSON('1e999');
  if (value === -Infinity) return rawJSON('-1e999');
  return value;
}
