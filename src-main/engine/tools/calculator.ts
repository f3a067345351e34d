/**
 * The calculator tool: one operation a call on two decimal numbers, so that a longer problem needs several calls. Not an
 * expression parser on purpose; anything else is an error text that the model reads. Exact: numbers are BigInt digits with
 * a count of decimals, and only a division that does not end is rounded, to 12 significant digits.
 */
import { checkAnswer } from './health.ts';
import type { Tool } from './tool.ts';

/** digits / 10^decimals */
type Decimal = { digits: bigint; decimals: number };

const operation = /^\s*(-?)\s*(\d+\.?\d*|\.\d+)\s*([-+*/])\s*(-?)\s*(\d+\.?\d*|\.\d+)\s*$/;
const maxDigits = 60;
const exactDigits = 20;
const roundedDigits = 12;

function parse(sign: string, text: string): Decimal {
  const [whole, fraction = ''] = text.split('.');
  return { digits: BigInt(sign + (whole + fraction)), decimals: fraction.length };
}

/** Plain digits without trailing zeros: "12", "-0.5", "0". */
function format({ digits, decimals }: Decimal): string {
  const sign = digits < 0n ? '-' : '';
  const text = (digits < 0n ? -digits : digits).toString().padStart(decimals + 1, '0');
  const whole = text.slice(0, text.length - decimals);
  const fraction = text.slice(text.length - decimals).replace(/0+$/, '');
  return fraction === '' ? sign + whole : `${sign}${whole}.${fraction}`;
}

function add(a: Decimal, b: Decimal): Decimal {
  const decimals = Math.max(a.decimals, b.decimals);
  const scale = (x: Decimal) => x.digits * 10n ** BigInt(decimals - x.decimals);
  return { digits: scale(a) + scale(b), decimals };
}

/** a / b, exact when at most 20 significant digits are, else rounded to 12. `b` is not 0. */
function divide(a: Decimal, b: Decimal): string {
  const top = a.digits * 10n ** BigInt(b.decimals);
  const bottom = b.digits * 10n ** BigInt(a.decimals);
  const isNegative = top < 0n !== bottom < 0n;
  const [n, d] = [top < 0n ? -top : top, bottom < 0n ? -bottom : bottom];
  if (n % d === 0n) return format({ digits: top / bottom, decimals: 0 });
  const scaled = (decimals: number): [bigint, bigint] =>
    decimals >= 0 ? [n * 10n ** BigInt(decimals), d] : [n, d * 10n ** BigInt(-decimals)];
  // the power of ten of the first significant digit
  const guess = String(n).length - String(d).length;
  const [shifted, unit] = scaled(-guess);
  const exponent = shifted < unit ? guess - 1 : guess;
  const [exact, exactUnit] = scaled(exactDigits - 1 - exponent);
  const isExact = exact % exactUnit === 0n;
  const decimals = (isExact ? exactDigits : roundedDigits) - 1 - exponent;
  const [numerator, denominator] = scaled(decimals);
  const size = (2n * numerator + denominator) / (2n * denominator);
  const digits = isNegative ? -size : size;
  // far from 1, plain digits would be mostly zeros that nobody computed
  if (!isExact && (exponent < -5 || exponent >= roundedDigits)) {
    const power = `${exponent < 0 ? '-' : '+'}${String(Math.abs(exponent)).padStart(2, '0')}`;
    return `${format({ digits, decimals: roundedDigits - 1 })}e${power}`;
  }
  return format(decimals >= 0 ? { digits, decimals } : { digits: digits * 10n ** BigInt(-decimals), decimals: 0 });
}

/** The result of one operation as text, e.g. "7 / 4" -> "1.75". Throws an Error with a short text for anything else. */
export function calculate(expression: string): string {
  const match = operation.exec(expression);
  if (!match) throw new Error('one operation a call');
  const [, signA, textA, operator, signB, textB] = match;
  if (textA.length > maxDigits || textB.length > maxDigits) throw new Error(`more than ${maxDigits} digits`);
  const [a, b] = [parse(signA, textA), parse(signB, textB)];
  switch (operator) {
    case '+':
      return format(add(a, b));
    case '-':
      return format(add(a, { digits: -b.digits, decimals: b.decimals }));
    case '*':
      return format({ digits: a.digits * b.digits, decimals: a.decimals + b.decimals });
    default:
      if (b.digits === 0n) throw new Error('division by zero');
      return divide(a, b);
  }
}

/** The calculator; its primary argument is `expression`. */
export function makeCalculatorTool(): Tool {
  const tool: Tool = {
    spec: {
      name: 'calculator',
      description: 'Computes one operation (+, -, * or /) on two numbers.',
      parameters: {
        type: 'object',
        properties: { expression: { type: 'string', description: 'two numbers and one operator, e.g. 17 * 23' } },
        required: ['expression'],
      },
    },
    primaryArgument: 'expression',
    async call(args) {
      const start = performance.now();
      const done = (status: 'ok' | 'error', output: string) => ({
        status,
        output,
        milliseconds: performance.now() - start,
      });
      if (typeof args.expression !== 'string') return done('error', 'error: the argument `expression` must be a text');
      try {
        return done('ok', calculate(args.expression));
      } catch (error) {
        return done('error', `error: ${(error as Error).message}`);
      }
    },
    check: () => checkAnswer(tool, { expression: '17*23' }, '391'),
    close: async () => {},
  };
  return tool;
}
