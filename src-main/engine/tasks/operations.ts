/**
 * Reads arithmetic as people note it beside a solution (`16-3-4`, `( 290.0 / 2.0 )`, `20x.05`, `$12*3`) into its
 * operations in the order in which they are done. Values are never computed here: a tool does that.
 */

/** One operation; a side is a number or the result of an earlier step. */
export type Operand = number | { step: number };
export type Operation = { left: Operand; operator: '+' | '-' | '*' | '/'; right: Operand };

/** The expression in plain form, and its operations, the last of which gives its value. */
export type Operations = { text: string; steps: Operation[] };

const maxTokens = 200;

/** Null when the text is anything but numbers, + - * / and parentheses. */
export function readOperations(text: string): Operations | null {
  const plain = text
    .replaceAll(/[x×]/g, '*')
    .replaceAll('÷', '/')
    .replaceAll(/[$,\s]/g, '');
  const tokens = plain.match(/\d+\.?\d*|\.\d+|[-+*/()]/g) ?? [];
  if (tokens.length === 0 || tokens.length > maxTokens || tokens.join('') !== plain) return null;
  const steps: Operation[] = [];
  const written: string[] = [];
  let at = 0;
  const apply = (left: Operand | null, operator: string, right: Operand | null): Operand | null => {
    if (left === null || right === null) return null;
    steps.push({ left, operator: operator as Operation['operator'], right });
    return { step: steps.length - 1 };
  };
  const value = (): Operand | null => {
    const token = tokens[at++];
    if (token === '(') {
      written.push('(');
      const inner = chain('+-', () => chain('*/', value));
      written.push(')');
      return tokens[at++] === ')' ? inner : null;
    }
    if (token === undefined || !/[\d.]/.test(token)) return null;
    written.push(plainNumber(Number(token)));
    return Number(token);
  };
  const chain = (operators: string, next: () => Operand | null): Operand | null => {
    let left = next();
    while (tokens[at] !== undefined && operators.includes(tokens[at])) {
      const operator = tokens[at++];
      written.push(operator);
      left = apply(left, operator, next());
    }
    return left;
  };
  const whole = chain('+-', () => chain('*/', value));
  if (whole === null || at !== tokens.length) return null;
  return { text: withoutOuterParentheses(written.join('')), steps };
}

function withoutOuterParentheses(text: string): string {
  return /^\([^()]*\)$/.test(text) ? text.slice(1, -1) : text;
}

/** A number without the exponent that JavaScript gives very large and small ones: 290 for 290.0, 0.05 for .05. */
export function plainNumber(value: number): string {
  const text = String(value);
  return text.includes('e') ? value.toFixed(20).replace(/\.?0+$/, '') : text;
}
