/**
 * Whether two answers are the same mathematics: numbers, fractions, percentages, sets, points, intervals, expressions.
 * Not a proof system: an expression is the same when the Compute Engine reads both to one form, or when both agree at fixed
 * test points. Symmetric. What decides is bounded by size, never by the clock, so that a verdict is the same on
 * every machine; the engine's own time limit is out of reach of what the bounds let through, and when it strikes all the
 * same there is no verdict (null).
 *
 * Conventions, ours and math-verify's: 50% is 0.5 and 50; a bare list is a set; (a, b) is a point or an open interval,
 * so its order counts; 0.66 is not 2/3.
 */
import type { ComputeEngine, Expression } from '@cortex-js/compute-engine';
import { finalAnswer, isProse, maxAnswerCharacters, plainFormula, splitAtCommas } from './math-text.ts';

/** Relative: lets through what double precision loses, e.g. 3.3333333333333335 for 10/3. */
const tolerance = 1e-9;

/** true or false, or null where no verdict was reached. */
export async function mathEquivalent(prediction: string, answer: string): Promise<boolean | null> {
  if (prediction.length > maxAnswerCharacters || answer.length > maxAnswerCharacters) return false;
  const a = plainFormula(finalAnswer(prediction));
  const b = plainFormula(finalAnswer(answer));
  if (a === '' || b === '') return false;
  if (isProse(a) || isProse(b)) return a.toLowerCase() === b.toLowerCase();
  return sameFormula(a, b);
}

async function sameFormula(a: string, b: string): Promise<boolean | null> {
  if (a.replaceAll(' ', '') === b.replaceAll(' ', '')) return true;
  const [first, second] = [shapeOf(a), shapeOf(b)];
  if (first.open !== '' || second.open !== '') {
    if (first.open !== second.open || first.close !== second.close) return false;
    if (first.parts.length !== second.parts.length) return false;
    return first.ordered ? allSame(first.parts, second.parts) : sameSet(first.parts, second.parts);
  }
  return sameScalar(a, b);
}

/** `open` is '' for a single value. Unions and sets have no order; points and intervals have. */
type Shape = { open: string; close: string; ordered: boolean; parts: string[] };

function shapeOf(text: string): Shape {
  const union = text.split(/\\cup|∪/);
  if (union.length > 1) return { open: 'union', close: '', ordered: false, parts: union.map((part) => part.trim()) };
  const set = /^\\\{(.*)\\\}$/s.exec(text);
  if (set) return { open: 'set', close: '', ordered: false, parts: splitAtCommas(set[1]) };
  const ray = /^[a-zA-Z]\s*(\\le|\\ge|<|>)\s*(.+)$/s.exec(text);
  if (ray) {
    const closed = ray[1].startsWith('\\');
    return ray[1] === '\\ge' || ray[1] === '>'
      ? { open: closed ? '[' : '(', close: ')', ordered: true, parts: [ray[2], '\\infty'] }
      : { open: '(', close: closed ? ']' : ')', ordered: true, parts: ['-\\infty', ray[2]] };
  }
  const bracketed = /^([[(])(.*)([\])])$/s.exec(text);
  const inside = bracketed ? splitAtCommas(bracketed[2]) : [];
  if (bracketed && inside.length > 1) return { open: bracketed[1], close: bracketed[3], ordered: true, parts: inside };
  const list = splitAtCommas(text);
  return list.length > 1
    ? { open: 'set', close: '', ordered: false, parts: list }
    : { open: '', close: '', ordered: false, parts: list };
}

async function allSame(a: string[], b: string[]): Promise<boolean | null> {
  for (let i = 0; i < a.length; i++) {
    const same = await sameFormula(a[i], b[i]);
    if (!same) return same;
  }
  return true;
}

const maxSetSize = 32;

async function sameSet(a: string[], b: string[]): Promise<boolean | null> {
  if (a.length > maxSetSize) return false;
  const left = [...b];
  for (const element of a) {
    let found = -1;
    for (let i = 0; i < left.length && found < 0; i++) if (await sameFormula(element, left[i])) found = i;
    if (found < 0) return false;
    left.splice(found, 1);
  }
  return true;
}

/** An exact rational number; the denominator is positive. `rounded` when it was written with a decimal point. */
type Rational = { top: bigint; bottom: bigint; rounded: boolean };

const decimal = /^([-+]?)\s*(\d*)(?:\.(\d*))?$/;
const maxDigits = 100;

function readDecimal(text: string): Rational | null {
  const match = decimal.exec(text.trim());
  if (!match || text.length > maxDigits) return null;
  const [, sign, whole, fraction = ''] = match;
  if (whole + fraction === '') return null;
  const top = BigInt(whole + fraction);
  return { top: sign === '-' ? -top : top, bottom: 10n ** BigInt(fraction.length), rounded: fraction !== '' };
}

/** Plain numbers: 12, -0.5, 1/2, 3 1/2. Null for anything else. */
function readRational(text: string): Rational | null {
  const fraction = /^([-+]?)\s*(?:(\d+)\s+)?(\d+)\s*\/\s*(\d+)$/.exec(text.trim());
  if (!fraction) return readDecimal(text);
  if (text.length > maxDigits) return null;
  const [, sign, whole = '0', top, bottom] = fraction;
  if (BigInt(bottom) === 0n) return null;
  const value = BigInt(whole) * BigInt(bottom) + BigInt(top);
  return { top: sign === '-' ? -value : value, bottom: BigInt(bottom), rounded: false };
}

function sameRational(a: Rational, b: Rational): boolean {
  const difference = a.top * b.bottom - b.top * a.bottom;
  if (difference === 0n || !(a.rounded || b.rounded)) return difference === 0n;
  const size = (n: bigint) => (n < 0n ? -n : n);
  // |a - b| <= tolerance |b|, without leaving the integers
  return size(difference) * BigInt(Math.round(1 / tolerance)) <= size(b.top * a.bottom);
}

/** A percentage may be meant as a part of one or as a number of hundredths: both are tried. */
async function sameScalar(a: string, b: string): Promise<boolean | null> {
  if (a.endsWith('%') || b.endsWith('%')) {
    const readings = (text: string) => {
      const bare = text.replace(/\s*%$/, '');
      return bare === text ? [text] : [bare, `(${bare})/100`];
    };
    for (const x of readings(a)) for (const y of readings(b)) if (await sameScalar(x, y)) return true;
    return false;
  }
  const [first, second] = [readRational(a), readRational(b)];
  if (first && second) return sameRational(first, second);
  return sameExpression(withMixedNumber(a), withMixedNumber(b));
}

/** "3 1/2" is read by mathematicians as a sum, by parsers as 31/2. */
function withMixedNumber(text: string): string {
  return text.replace(/^([-+]?)(\d+)\s+(\d+)\s*\/\s*(\d+)$/, '$1($2+\\frac{$3}{$4})');
}

const maxExpression = 300;
const engineMilliseconds = 5000;

/** How far the powers of an expression may multiply up; x^{10}y^{99} is 990. */
const maxPower = 1000;

/** Whether an expression is small enough that the engine's work is bounded: no big powers, towers, sums or factorials. */
function isBounded(text: string): boolean {
  if (text.length > maxExpression || /\d{40}/.test(text)) return false;
  if (/!|\\(?:sum|prod|int|lim|binom|operatorname|begin)/.test(text)) return false;
  const exponents = [...text.matchAll(/\^\s*(?:\{([^{}]*)\}|([\da-zA-Z]))/g)].map((match) => match[1] ?? match[2]);
  if (exponents.length !== (text.match(/\^/g)?.length ?? 0) || exponents.some((e) => e.includes('^'))) return false;
  // the engine multiplies powers of numbers out, exactly
  const factors = exponents.flatMap((exponent) => exponent.match(/\d+/g) ?? []).map(Number);
  return factors.reduce((product, factor) => product * Math.max(1, factor), 1) <= maxPower;
}

let loading: Promise<ComputeEngine> | null = null;

/** Loaded when the first answer needs it: numbers never do. */
function engine(): Promise<ComputeEngine> {
  loading ??= import('@cortex-js/compute-engine').then(({ ComputeEngine }) => new ComputeEngine());
  return loading;
}

/** Where two expressions in free symbols are compared: no zeros or poles of what people write; small ones, so that a high power hides nothing. */
const testPoints = [0.1370358999, -0.3718281828, 0.7310585786, 1.9120228475];

async function sameExpression(a: string, b: string): Promise<boolean | null> {
  if (!isBounded(a) || !isBounded(b)) return false;
  const ce = await engine();
  try {
    return ce.withTimeLimit({ ms: engineMilliseconds }, () => sameIn(ce, a, b));
  } catch (error) {
    return error instanceof Error && error.name === 'CancellationError' ? null : false;
  }
}

function sameIn(ce: ComputeEngine, a: string, b: string): boolean {
  const [first, second] = [ce.parse(a), ce.parse(b)];
  if (!first.isValid || !second.isValid) return false;
  const symbols = [...new Set([...first.freeVariables, ...second.freeVariables])];
  if (symbols.length === 0) return sameValue(first, second);
  if (first.isSame(second)) return true;
  if (symbols.length > testPoints.length) return false;
  return testPoints.every((_, k) => {
    const at = symbols.map((symbol, i) => [symbol, testPoints[(k + i) % testPoints.length] + i / 7] as const);
    const point = Object.fromEntries(at);
    return sameValue(first.subs(point), second.subs(point));
  });
}

function sameValue(a: Expression, b: Expression): boolean {
  const [x, y] = [a.N(), b.N()];
  const parts = [x.re, x.im, y.re, y.im];
  if (!parts.every((part) => Number.isFinite(part)))
    return Math.abs(x.re) === Infinity && x.re === y.re && x.im === 0 && y.im === 0;
  const scale = Math.max(Math.hypot(x.re, x.im), Math.hypot(y.re, y.im));
  return Math.hypot(x.re - y.re, x.im - y.im) <= tolerance * scale;
}
