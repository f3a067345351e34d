/** Graders: what counts as right, what is ungraded, and that hostile answers cost bounded time. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Grader } from '../../src-main/contract/records.ts';
import { grade, graderProgram } from '../../src-main/engine/tasks/grade.ts';
import { mathEquivalent } from '../../src-main/engine/tasks/math-equivalence.ts';
import { graderSchema } from '../../src-main/engine/tasks/row-shapes.ts';
import { makePythonTool } from '../../src-main/engine/tools/python.ts';

const by = (grader: Grader, answers: string[], answer: string) => grade({ grader, answers }, answer);

test('exact match accepts any of the answers after normalization', async () => {
  assert.equal(await by({ kind: 'exact' }, ['Rome', 'Paris'], 'the paris.'), true);
  assert.equal(await by({ kind: 'exact' }, ['Rome'], 'Paris'), false);
});

test('a sign matters to the math grader and not to exact match, hence arithmetic uses math', async () => {
  assert.equal(await by({ kind: 'math' }, ['-35'], '35'), false);
  assert.equal(await by({ kind: 'math' }, ['-35'], ' -35 '), true);
  assert.equal(await by({ kind: 'exact' }, ['-35'], '35'), true);
});

test('mathematics beyond the golden pairs', async () => {
  const same: [string, string][] = [
    ['3.3333333333333335', '10/3'],
    ['So she pays 4 * 3 = 12 dollars.\n#### 12', '12'],
    ['2ab+b^2', 'b(2a+b)'],
    ['\\frac{x+1}{x-1}', '\\frac{-1-x}{1-x}'],
    ['(1+i)^2', '2i'],
    ['1,234.50', '1234.5'],
    ['x>2', '(2,\\infty)'],
    ['15 kg', '15'],
    ['Yes', 'yes'],
    ['-\\infty', '-\\infty'],
  ];
  const different: [string, string][] = [
    ['999999999999999999999', '999999999999999999998'],
    ['\\log(x^2)', '2\\log(x)'],
    ['(x+1)^{99}', '(x+1)^{99}+x'],
    ['5m', '5'],
    ['1/0', '2/0'],
    ['\\frac{', '2'],
    ['', '2'],
    ['blue', 'red'],
    ['1,2,3', '(1,2,3)'],
  ];
  for (const [a, b] of same) assert.equal(await mathEquivalent(a, b), true, `${a} = ${b}`);
  for (const [a, b] of different) assert.equal(await mathEquivalent(a, b), false, `${a} /= ${b}`);
});

test('answers built to keep the engine busy are refused by size, in no time', async () => {
  const started = performance.now();
  const hostile = [
    '{{{9^{99}}^{99}}^{99}}^{99}',
    '(((9^{99})^{99})^{99})^{99}',
    '99^{99}'.repeat(7),
    '1000000!',
    '\\sum_{i=1}^{99999999} i',
    `${'('.repeat(200_000)}1`,
    '9'.repeat(5000),
  ];
  for (const answer of hostile) assert.equal(await mathEquivalent(answer, '2^{10}'), false, answer.slice(0, 30));
  assert.ok(performance.now() - started < 3000);
});

test('the verdict on mathematics is symmetric and never throws', async () => {
  const piece = fc.constantFrom(
    '1',
    '2',
    'x',
    '+',
    '-',
    '\\frac',
    '{',
    '}',
    '^',
    '(',
    ')',
    ',',
    '%',
    ' ',
    '\\sqrt',
    '=',
    '/',
    '.',
  );
  const formula = fc.array(piece, { maxLength: 8 }).map((pieces) => pieces.join(''));
  await fc.assert(
    fc.asyncProperty(formula, formula, async (a, b) => {
      assert.equal(await mathEquivalent(a, b), await mathEquivalent(b, a));
    }),
    { numRuns: 150, seed: 7 },
  );
});

test('integers are judged as BigInt does, however they are written', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.bigInt({ min: -(10n ** 30n), max: 10n ** 30n }),
      fc.bigInt({ min: -2n, max: 2n }),
      async (n, d) => {
        assert.equal(await mathEquivalent(String(n + d), `${n < 0n ? '-' : '+'}00${n < 0n ? -n : n}`), d === 0n);
      },
    ),
    { numRuns: 200, seed: 7 },
  );
});

test('a pattern is searched in the first 4,096 characters, and one that explodes is ungraded', async () => {
  const code: Grader = { kind: 'regex', pattern: '^code: \\d{4}$', flags: 'im' };
  assert.equal(await by(code, [], 'Here it is.\nCODE: 1234\nBye.'), true);
  assert.equal(await by(code, [], 'code: 12345'), false);
  assert.equal(await by({ kind: 'regex', pattern: 'end' }, [], `${'x'.repeat(4096)}end`), false);
  assert.equal(await by({ kind: 'regex', pattern: '^(a+)+$' }, [], `${'a'.repeat(40)}!`), null);
});

test('JSON answers are compared in the named fields only, also inside prose and objects', async () => {
  const grader: Grader = { kind: 'json', fields: ['name', 'size.cm'] };
  const wanted = '{"name": "oak", "size": {"cm": 120}, "note": "x"}';
  assert.equal(await by(grader, [wanted], 'Sure: {"size": {"cm": 120.0, "in": 47}, "name": "oak"} Done.'), true);
  assert.equal(await by(grader, [wanted], '{"name": "oak", "size": {"cm": "120"}}'), false);
  assert.equal(await by(grader, [wanted], '{"name": "oak"}'), false);
  assert.equal(await by(grader, [wanted], '{"name": '), false);
  assert.equal(await by({ kind: 'json', fields: ['__proto__.x'] }, [wanted], wanted), false);
});

test("the user's own grader runs in the Python sandbox; whatever it does wrong leaves the answer ungraded", async () => {
  const python = makePythonTool({ workers: 1 });
  const runPython = (code: string) => python.call({ code });
  const judge = (code: string, answer: string) =>
    grade({ grader: { kind: 'python', code }, answers: ['7', 'é"\n😀'] }, answer, { runPython });
  try {
    const code = 'def grade(answer, answers):\n    print("thinking")\n    return answer.strip() in answers';
    assert.equal(await judge(code, ' 7 '), true);
    assert.equal(await judge(code, 'é"\n😀'), true);
    assert.equal(await judge(code, '8'), false);
    assert.equal(await judge(code, "') or True #"), false);
    assert.equal(await judge('def grade(answer, answers):\n    return 1', '7'), null);
    assert.equal(await judge('def grade(answer, answers):\n    raise ValueError', '7'), null);
    assert.equal(await judge('grade = 3 +', '7'), null);
    assert.match(graderProgram(code, 'é', []), /^[\x20-\x7e\n]*$/);
  } finally {
    await python.close();
  }
});

test('graders from files are checked: unknown kinds, bad patterns and flags are refused', () => {
  const good = [{ kind: 'exact' }, { kind: 'regex', pattern: 'a|b', flags: 'i' }, { kind: 'json', fields: ['a'] }];
  const bad = [
    { kind: 'fuzzy' },
    { kind: 'regex', pattern: '(' },
    { kind: 'regex', pattern: 'a', flags: 'g' },
    { kind: 'json', fields: [] },
    { kind: 'exact', extra: 1 },
  ];
  for (const grader of good) assert.ok(graderSchema.safeParse(grader).success, JSON.stringify(grader));
  for (const grader of bad) assert.ok(!graderSchema.safeParse(grader).success, JSON.stringify(grader));
});
