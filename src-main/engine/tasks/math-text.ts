/**
 * Reading the final answer out of a text that may hold LaTeX, prose or both, and bringing it to one plain form for
 * math-equivalence.ts. Text only: nothing is computed here.
 */

/** Longer answers are not read as mathematics. */
export const maxAnswerCharacters = 4096;

/** The content of the last \boxed{...} (braces balanced), or null. */
export function lastBoxed(text: string): string | null {
  const at = text.lastIndexOf('\\boxed{');
  if (at < 0) return null;
  const start = at + '\\boxed{'.length;
  let depth = 1;
  for (let i = start; i < text.length; i++) {
    if (text[i] === '\\') i++;
    else if (text[i] === '{') depth++;
    else if (text[i] === '}' && --depth === 0) return text.slice(start, i);
  }
  return null;
}

const numberInText = /-?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:\s*\/\s*\d+)?(?:\s*\\?%)?/g;

/** Names of functions that people write without a backslash. */
const functionNames = /\b(?:sin|cos|tan|log|exp|sqrt|abs|infty|inf|pi)\b/g;

/** A word of three letters or more, LaTeX commands and the content of \text{} aside: someone is talking. */
export function isProse(text: string): boolean {
  const bare = text
    .replace(/\\(?:text|mathrm|mbox|textbf)\s*\{[^{}]*\}/g, ' ')
    .replace(/\\[a-zA-Z]+/g, ' ')
    .replace(functionNames, ' ');
  return /[a-zA-Z]{3}/.test(bare);
}

/**
 * What a text gives as its answer: the last \boxed{}, else what follows the last `####`, else the last $...$, else (in
 * prose) the last number, else the whole text.
 */
export function finalAnswer(text: string): string {
  const boxed = lastBoxed(text);
  if (boxed !== null) return boxed;
  const marked = text.lastIndexOf('####');
  if (marked >= 0) return text.slice(marked + 4).split('\n')[0];
  const formulas = [...text.matchAll(/(?<!\\)\$([^$]+)(?<!\\)\$/g)];
  if (formulas.length > 0) return formulas[formulas.length - 1][1];
  if (!isProse(text)) return text;
  return text.replaceAll('−', '-').match(numberInText)?.at(-1) ?? text;
}

/** Commands that only dress a formula. */
const dressing: [RegExp, string][] = [
  [/−|–/g, '-'],
  [/\\left(?![a-zA-Z])|\\right(?![a-zA-Z])|\\displaystyle|\\!/g, ''],
  [/\\[,;: ]|~|\\quad|\\qquad/g, ' '],
  [/\\[dtc]frac(?![a-zA-Z])/g, '\\frac'],
  [/\\\$|\$/g, ''],
  [/\^\s*\{\s*\\circ\s*\}|\^\s*\\circ|\\degree|°/g, ''],
  [/\\(?:leq|leqslant)(?![a-zA-Z])/g, '\\le'],
  [/\\(?:geq|geqslant)(?![a-zA-Z])/g, '\\ge'],
  [/≤/g, '\\le '],
  [/≥/g, '\\ge '],
  [/\\?%/g, '%'],
  // a unit or a remark beside a number; alone it is the answer itself
  [/(?<=[\d}%)])\s*\\(?:text|mathrm|mbox|textbf)\s*\{[^{}]*\}/g, ''],
  [/\\(?:text|mathrm|mbox|textbf)\s*\{([^{}]*)\}/g, '$1'],
];

/** A short unit behind a number; one letter only with a space, since 5m may be a product. */
const shortUnit = /^([-+]?[\d.,]+(?:\s*\/\s*\d+)?)(?:\s*(?:cm|mm|km|kg|mg|ml|lb|oz|ft|in)|\s+[a-zA-Z])$/;

/** A formula without dressing, units, thousands commas, `x =` in front and a full stop behind. */
export function plainFormula(formula: string): string {
  let plain = formula;
  for (const [pattern, replacement] of dressing) plain = plain.replace(pattern, replacement);
  plain = plain
    .trim()
    .replace(/[.,;]+$/, '')
    .replace(/^\s*[a-zA-Z]\s*=(?!=)\s*/, '')
    .trim()
    .replace(shortUnit, '$1');
  // inside brackets a comma parts the elements of a set or a point
  if (!/[()[\]{}]/.test(plain))
    plain = plain.replace(/(?<![\d,.])\d{1,3}(?:,\d{3})+(?![\d,])/g, (n) => n.replaceAll(',', ''));
  return plain;
}

/** Parts of a text between commas that no bracket encloses. */
export function splitAtCommas(text: string): string[] {
  const pieces: string[] = [];
  let depth = 0;
  let start = 0;
  for (let i = 0; i < text.length; i++) {
    if ('([{'.includes(text[i])) depth++;
    else if (')]}'.includes(text[i])) depth--;
    else if (text[i] === ',' && depth === 0) {
      pieces.push(text.slice(start, i));
      start = i + 1;
    }
  }
  return [...pieces, text.slice(start)].map((piece) => piece.trim());
}
