import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { calculate, makeCalculatorTool } from '../../src-main/engine/tools/calculator.ts';

const cases: [string, string][] = [
  ['3+4', '7'],
  [' 12 * 12 ', '144'],
  ['7/4', '1.75'],
  ['8/2', '4'],
  ['1/3', '0.333333333333'],
  ['2/3', '0.666666666667'],
  ['-2/3', '-0.666666666667'],
  ['10/-4', '-2.5'],
  ['0.1+0.2', '0.3'],
  ['3--4', '7'],
  ['- 3 + - 4', '-7'],
  ['.5*4.', '2'],
  ['0/5', '0'],
  ['-0*1', '0'],
  ['99999999999999999999*99999999999999999999', '9999999999999999999800000000000000000001'],
  ['100000000000000000000/3', '3.33333333333e+19'],
  ['1/300000000', '3.33333333333e-09'],
  ['999999999999.9/1', '999999999999.9'],
  ['1999999999999/2', '999999999999.5'],
  ['1/1024', '0.0009765625'],
];

for (const [expression, result] of cases) {
  test(`${expression} is ${result}`, () => assert.equal(calculate(expression), result));
}

test('anything but one operation on two numbers is an error with a short text', async () => {
  const tool = makeCalculatorTool();
  for (const expression of ['', '5', '1+2+3', '(1+2)', '2**3', '1e5+1', 'a+b', '1+', '+', '1 2', '٣+1', '1,5+2']) {
    const { status, output } = await tool.call({ expression });
    assert.deepEqual([status, output], ['error', 'error: one operation a call'], expression);
  }
  assert.equal((await tool.call({ expression: '1/0' })).output, 'error: division by zero');
  assert.equal((await tool.call({ expression: `${'9'.repeat(100)}+1` })).status, 'error');
  assert.equal((await tool.call({ expression: 12 })).status, 'error');
  assert.equal((await tool.call({})).status, 'error');
  assert.equal((await tool.check()).ok, true);
});

test('whole numbers of any size give the exact result', () => {
  const whole = fc.bigInt({ min: -(10n ** 40n), max: 10n ** 40n });
  fc.assert(
    fc.property(whole, whole, (a, b) => {
      assert.equal(calculate(`${a}+${b}`), String(a + b));
      assert.equal(calculate(`${a} - ${b}`), String(a - b));
      assert.equal(calculate(`${a}*${b}`), String(a * b));
      if (b !== 0n)
        assert.equal(
          calculate(`${a * b}/${b}`.length < 60 ? `${a * b}/${b}` : '1/1'),
          `${a * b}/${b}`.length < 60 ? String(a) : '1',
        );
    }),
  );
});

test('a division agrees with floating point to twelve digits', () => {
  const number = fc.integer({ min: -(10 ** 9), max: 10 ** 9 });
  fc.assert(
    fc.property(number, number, (a, b) => {
      fc.pre(b !== 0);
      const result = calculate(`${a}/${b}`);
      assert.ok(Math.abs(Number(result) - a / b) <= Math.abs(a / b) * 5.01e-12, `${a}/${b} = ${result}`);
      assert.ok(result.replace(/e.*|[-.]/g, '').replace(/^0+/, '').length <= 12 || a % b === 0, result);
    }),
  );
});
