import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { after, test } from 'node:test';
import { promisify } from 'node:util';
import { randomStream } from '../../src-main/engine/base/random.ts';
import { loadPythonModule } from '../../src-main/engine/tools/python-module.ts';
import { makePythonTool } from '../../src-main/engine/tools/python.ts';

const timeoutMs = 1000;
const tool = makePythonTool({ workers: 2, timeoutMs });
after(() => tool.close());

async function run(code: string): Promise<[string, string]> {
  const { status, output } = await tool.call({ code });
  return [status, output];
}

test('what a program prints is its output', async () => {
  assert.deepEqual(await run('for i in range(3):\n    print(i, end=",")\nprint("é")'), ['ok', '0,1,2,é']);
});

test('the value of a last expression is the output when nothing was printed', async () => {
  assert.deepEqual(await run('x = 6\nx * 7'), ['ok', '42']);
  assert.deepEqual(await run('"a" + "b"'), ['ok', 'ab']);
  assert.deepEqual(await run('print(1)\n2'), ['ok', '1']);
  assert.deepEqual(await run('None'), ['ok', '']);
  assert.deepEqual(await run('x = 1'), ['ok', '']);
  assert.deepEqual(await run(''), ['ok', '']);
});

test('an exception is one line below what was printed', async () => {
  assert.deepEqual(await run('1 / 0'), ['error', 'ZeroDivisionError: division by zero']);
  assert.deepEqual(await run('print("a")\nundefined'), ['error', "a\nNameError: name 'undefined' is not defined"]);
  assert.deepEqual(await run('raise ValueError("two\\nlines")'), ['error', 'ValueError: two lines']);
  assert.deepEqual(await run('x =\n'), ['error', 'SyntaxError: invalid syntax (line 1)']);
});

test('code that is indented as a whole runs', async () => {
  assert.deepEqual(await run('\n    x = 2\n    print(x)\n'), ['ok', '2']);
});

test('odd texts are programs like any other', async () => {
  assert.deepEqual(await run('print("😀 \\u4e2d")'), ['ok', '😀 中']);
  assert.deepEqual(await run('print("\ud800")'), ['ok', '\ufffd']);
  assert.deepEqual(await run('print("\\ud800")'), ['ok', '\\ud800']);
  assert.equal((await run('a\0b'))[0], 'error');
});

test('the standard library is there, and random numbers are those of seed 0', async () => {
  const code = `
from fractions import Fraction
from decimal import Decimal
from dataclasses import dataclass
import json, re, statistics, itertools, datetime, colorsys
@dataclass
class P:
    x: int
print(Fraction(1, 3) + Fraction(1, 6), Decimal("0.1") * 3, P(3), json.dumps({"a": 1}))
print(statistics.median([3, 1, 2]), list(itertools.permutations("ab")), datetime.date.today())
import random
print(random.random())`;
  assert.deepEqual(await run(code), [
    'ok',
    "1/2 0.3 P(x=3) {\"a\": 1}\n2 [('a', 'b'), ('b', 'a')] 2024-01-01\n0.8444218515250481",
  ]);
});

test('calls in random order, with random delays and side by side give what they give one by one', async () => {
  const programs = [
    'import builtins\nbuiltins.sum = None\nid(object())',
    'sum(range(100)), id(object())',
    'x = [0] * 3 * 10**6\nlen(x)',
    'import random\nprint(random.random(), hash("a"), id([]))',
    'globals().update(left=1)\nsorted(globals())',
    'sorted(globals())',
    '1 / 0',
    'import time\ntime.time()',
    'import os\nos._exit(5)',
    'import sys\nlen(sys.modules)',
  ];
  const alone: [string, string][] = [];
  for (const program of programs) alone.push(await run(program));
  const random = randomStream(5, 'order');
  const order = random.shuffle([...programs, ...programs, ...programs].map((_, i) => i % programs.length));
  const wait = promisify(setTimeout);
  const together = await Promise.all(
    order.map(async (index) => {
      await wait(random.int(0, 30));
      return run(programs[index]);
    }),
  );
  assert.deepEqual(
    together,
    order.map((index) => alone[index]),
  );
});

test('calls run side by side on the workers', async () => {
  const start = performance.now();
  const results = await Promise.all([1, 2].map(() => tool.call({ code: 'while True: pass' })));
  assert.deepEqual(
    results.map(({ status }) => status),
    ['timeout', 'timeout'],
  );
  assert.ok(results.every(({ milliseconds }) => milliseconds >= timeoutMs));
  assert.ok(performance.now() - start < 1.9 * timeoutMs, 'one after the other would take twice the limit');
});

test('a time limit counts from when the worker begins, also when the main thread is busy', async () => {
  await run('1');
  const queued = Array.from({ length: 8 }, () => tool.call({ code: 'sum(range(1000))' }));
  const until = performance.now() + 1.2 * timeoutMs;
  while (performance.now() < until);
  assert.deepEqual(new Set((await Promise.all(queued)).map(({ status }) => status)), new Set(['ok']));
});

test('the memory limit is the one asked for, and output is cut at a whole character', async () => {
  const code = 'x = bytearray(40 * 2**20)\nlen(x)';
  assert.deepEqual(await run(code), ['ok', String(40 * 2 ** 20)]);
  const small = makePythonTool({ workers: 1, memoryBytes: 48 * 2 ** 20, outputBytes: 10 });
  assert.equal((await small.call({ code })).status, 'memory');
  const { status, output } = await small.call({ code: 'print("é" * 4 + "é€", end="")' });
  assert.deepEqual([status, output], ['output', 'ééééé']);
  assert.equal((await small.call({ code: 'print("é" * 5, end="")' })).status, 'ok');
  await small.close();
});

test('a call that is no program is an error, a limit out of range a ParetuneError', async () => {
  assert.equal((await tool.call({})).status, 'error');
  assert.equal((await tool.call({ code: 7 })).status, 'error');
  assert.throws(() => makePythonTool({ memoryBytes: 1024 }), { code: 'config', message: /33554432 to/ });
  assert.throws(() => makePythonTool({ workers: 0 }), { code: 'config' });
});

test('an interpreter file that is missing or is another one is refused', async () => {
  await assert.rejects(loadPythonModule(2 ** 27, 'no-such.wasm'), { code: 'tool', message: /cannot be read/ });
  await assert.rejects(loadPythonModule(2 ** 27, import.meta.filename), { code: 'tool', message: /expected e5dc5a39/ });
});

test('the health check runs a program', async () => {
  const health = await tool.check();
  assert.deepEqual([health.ok, health.message], [true, 'ok']);
});

test('closing ends running and waiting calls with an error, and later calls too', async () => {
  const closing = makePythonTool({ workers: 1 });
  await closing.call({ code: '1' });
  const calls = Promise.allSettled([closing.call({ code: 'while True: pass' }), closing.call({ code: '2' })]);
  await closing.close();
  assert.deepEqual(
    (await calls).map(({ status }) => status),
    ['rejected', 'rejected'],
  );
  await assert.rejects(closing.call({ code: '3' }), { code: 'tool' });
  assert.equal((await closing.check()).ok, false);
});

test('a process that leaves its tool open still ends, after its calls have been answered', async () => {
  const url = new URL('../../src-main/engine/tools/python.ts', import.meta.url).href;
  const script = `const { makePythonTool } = await import('${url}');
    const tool = makePythonTool({ workers: 2 });
    tool.call({ code: '6 * 7' }).then((result) => console.log(result.output));`;
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', script], {
    timeout: 20_000,
  });
  assert.equal(stdout, '42\n');
});
