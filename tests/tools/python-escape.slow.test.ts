/**
 * Attempts to get out of the Python tool, to exhaust it, or to leave something for the next call. Each must end with the
 * status given, and the canary after it must answer, to the last byte, as in a tool that never ran anything else.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { makePythonTool } from '../../src-main/engine/tools/python.ts';

type Status = 'ok' | 'error' | 'timeout' | 'memory' | 'output';
type Attempt = [name: string, code: string, status: Status, output: RegExp];

/** Everything a call could leave behind that another could see: addresses, modules, builtins, heap, files, settings. */
const canary = `
import builtins, gc, io, json, math, os, random, re, sys, time, zlib
def digest(thing):
    return zlib.crc32(repr(thing).encode())
print(id(object()), hash('a'), random.random(), time.time(), os.urandom(4).hex())
print(len(gc.get_objects()), gc.get_threshold(), gc.isenabled(), sys.getrecursionlimit(), sys.gettrace())
print(sorted(globals()), digest(sorted(sys.modules)), digest(sorted(vars(builtins).items(), key=lambda pair: pair[0])))
print(math.pi, json.dumps([1.5]), re.sub('b+', 'c', 'abb'), sys.argv, dict(os.environ), os.getcwd(), sys.path)
print(zlib.crc32(open('/usr/local/lib/python312.zip', 'rb').read()), os.listdir('/usr/local/lib'))
print(1 + 1, len('abc'), sum(range(10)), [].__class__.__mro__, sys.getallocatedblocks())
import colorsys
print(colorsys.rgb_to_hsv(0.5, 0.25, 0.25))
`;

const files: Attempt[] = [
  ['reads a host file', 'open("/etc/passwd").read()', 'error', /^FileNotFoundError/],
  ['reads /proc', 'open("/proc/self/environ").read()', 'error', /^FileNotFoundError/],
  ['climbs out by ..', 'open("/usr/local/lib/../../../etc/passwd").read()', 'error', /^\w+Error: \[Errno/],
  ['opens by io.open_code', 'import io\nio.open_code("/etc/hostname")', 'error', /^FileNotFoundError/],
  ['lists the root', 'import os\nos.listdir("/")', 'error', /^\w*Error/],
  ['writes a file', 'open("/tmp/left", "w").write("x")', 'error', /^\w*Error/],
  ['makes a folder', 'import os\nos.mkdir("left")', 'error', /^\w*Error/],
  ['makes a symlink', 'import os\nos.symlink("/etc", "link")', 'error', /^\w*Error/],
  ['renames', 'import os\nos.rename("/etc/passwd", "/tmp/x")', 'error', /^\w*Error/],
  ['uses other descriptors', 'import os\nfor i in range(3, 64):\n  os.write(i, b"x")', 'error', /^OSError/],
  [
    'overwrites the packed standard library',
    'f = open("/usr/local/lib/python312.zip", "r+b")\nf.write(b"\\0" * 4000000)\nf.close()\nimport colorsys',
    'error',
    /Error/,
  ],
];

const machine: Attempt[] = [
  ['opens a socket', 'import socket\nsocket.socket().connect(("1.1.1.1", 80))', 'error', /Error/],
  ['fetches a page', 'import urllib.request\nurllib.request.urlopen("http://127.0.0.1/")', 'error', /Error/],
  ['runs a shell', 'import os\nos.system("id")', 'error', /^AttributeError/],
  ['runs a process', 'import subprocess\nsubprocess.run(["id"])', 'error', /Error/],
  ['forks', 'import os\nos.fork()', 'error', /^AttributeError/],
  ['replaces the process', 'import os\nos.execv("/bin/sh", ["sh"])', 'error', /^AttributeError/],
  ['starts a thread', 'import threading\nthreading.Thread(target=print).start()', 'error', /^RuntimeError/],
  ['starts processes', 'import multiprocessing\nmultiprocessing.Pool(2)', 'error', /Error/],
  ['reads the environment', 'import os\ndict(os.environ)', 'ok', /^\{\}$/],
  ['loads native code', 'import ctypes', 'error', /^ModuleNotFoundError/],
  ['imports a bridge to the host', 'import js', 'error', /^ModuleNotFoundError/],
  ['imports wasi', 'import wasi_snapshot_preview1', 'error', /^ModuleNotFoundError/],
  ['reads what is not there from stdin', 'input()', 'error', /^EOFError/],
  ['writes to stdin', 'import sys\nsys.stdin.write("x")', 'error', /^\w*UnsupportedOperation/],
  ['sleeps', 'import time\ntime.sleep(1e6)\nprint("awake")', 'ok', /^awake$/],
];

const crashes: Attempt[] = [
  ['exits', 'import sys\nprint("a")\nsys.exit(3)', 'error', /^a\nSystemExit: 3$/],
  ['exits at once', 'import os\nos._exit(9)', 'error', /^SystemExit: 9$/],
  ['raises KeyboardInterrupt', 'raise KeyboardInterrupt', 'error', /^KeyboardInterrupt$/],
  ['raises SystemExit', 'raise SystemExit("bye")', 'error', /^SystemExit: bye$/],
  ['aborts', 'import os\nos.abort()', 'error', /crashed/],
  ['raises a signal', 'import signal\nsignal.raise_signal(signal.SIGABRT)', 'error', /crashed/],
  ['provokes a fault', 'import faulthandler\nfaulthandler._sigsegv()', 'error', /crashed/],
  [
    'runs made-up bytecode',
    'f = lambda: 1\nf.__code__ = f.__code__.replace(co_code=b"d\\xff" * 50)\nf()',
    'error',
    /Error/,
  ],
  [
    'stores outside its frame by made-up bytecode',
    'f = lambda: 1\nf.__code__ = f.__code__.replace(co_code=bytes([151, 0, 125, 250, 125, 200, 125, 255, 83, 0]))\nf()',
    'error',
    /Error/,
  ],
  ['exec of random bytes as code', 'import marshal\nexec(marshal.loads(b"c" + bytes(range(200))))', 'error', /Error/],
];

const exhaustion: Attempt[] = [
  ['recursion', 'def f(): return f()\nf()', 'error', /^RecursionError/],
  [
    'recursion through C with the limit lifted',
    'import sys\nsys.setrecursionlimit(10**9)\nclass A:\n  def __getattr__(s, n): return getattr(s, n)\nA().x',
    'error',
    /^RecursionError/,
  ],
  ['deep repr', 'x = []\nfor i in range(10**5): x = [x]\nrepr(x)', 'error', /^RecursionError/],
  ['deep parentheses', 'eval("(" * 10**5 + ")" * 10**5)', 'memory', /^MemoryError$/],
  ['deep negation', 'eval("-" * 10**6 + "1")', 'memory', /Memory/],
  ['a constant that explodes in the compiler', 'eval("(" + "1," * 10 + ")*9**9")', 'memory', /Memory/],
  ['a long string', '"a" * 10**9', 'memory', /^MemoryError$/],
  ['a string longer than the address space', '"a" * 10**10', 'memory', /^MemoryError$/],
  ['a long list', '[0] * 10**9', 'memory', /^MemoryError$/],
  ['a long bytearray', 'bytearray(2**31 - 1)', 'memory', /^MemoryError$/],
  ['a big integer', '1 << 10**9', 'memory', /^MemoryError$/],
  ['growing strings', 'x = "a"\nwhile True: x += x', 'memory', /^MemoryError$/],
  ['growing lists', 'x = []\nwhile True: x.append([0] * 1000)', 'memory', /^MemoryError$/],
  [
    'keeping on after MemoryError',
    'x = []\nwhile 1:\n try:\n  while 1: x.append(bytes(10**5))\n except MemoryError: print("full"); break',
    'ok',
    /^full$/,
  ],
  ['output flood', 'while True: print("spam")', 'output', /^(spam\n)+spa?m?$/],
  ['one huge line', 'print("y" * 10**6)', 'output', /^y{1000}$/],
  ['a huge value', '"z" * 10**6', 'output', /^z{1000}$/],
  ['a huge exception', 'raise ValueError("e" * 10**6)', 'error', /^ValueError: e{1,600}$/],
];

const endless: Attempt[] = [
  ['an endless loop', 'while True: pass', 'timeout', /^TimeoutError: stopped after 0\.2 s$/],
  [
    'an endless loop that catches everything',
    'while True:\n try:\n  while True: pass\n except BaseException: pass',
    'timeout',
    /^Timeout/,
  ],
  ['a huge power', '9 ** 9 ** 9', 'timeout', /^Timeout/],
  ['catastrophic backtracking', 'import re\nre.match(r"(a+)+$", "a" * 40 + "b")', 'timeout', /^Timeout/],
  ['flooding stderr', 'import sys\nwhile True: sys.stderr.write("x" * 9999)', 'timeout', /^Timeout/],
  ['writing nothing for ever', 'import os\nwhile True: os.write(1, b"")', 'timeout', /^Timeout/],
  ['waiting by the clock', 'import time\nwhile time.time() < 2e9: pass', 'timeout', /^Timeout/],
  ['endless text', 'class A:\n  def __str__(s):\n    while True: pass\nA()', 'timeout', /^Timeout/],
];

const leftovers: Attempt[] = [
  ['patches print', 'import builtins\nbuiltins.print = lambda *a: None\nbuiltins.len = lambda x: 7', 'ok', /^$/],
  ['empties builtins', 'import builtins\nvars(builtins).clear()', 'ok', /^$/],
  ['deletes __builtins__', 'del __builtins__\nprint(1)', 'ok', /^1$/],
  ['patches modules', 'import math, json\nmath.pi = 3\njson.dumps = None\nx = 1', 'ok', /^$/],
  ['empties sys.modules', 'import sys\nsys.modules.clear()', 'ok', /^$/],
  ['plants a module', 'import sys, types\nsys.modules["left"] = types.ModuleType("left")', 'ok', /^$/],
  ['lifts the recursion limit', 'import sys\nsys.setrecursionlimit(10**6)', 'ok', /^$/],
  ['leaves a trace function', 'import sys\nsys.settrace(lambda *a: None)', 'ok', /^$/],
  ['leaves an exit hook', 'import atexit\natexit.register(print, "left")\nx = 1', 'ok', /^$/],
  ['closes the output', 'import sys\nprint(5)\nsys.stdout.close()', 'error', /./],
  ['replaces the output', 'import sys, io\nsys.stdout = io.StringIO()\nprint("hidden")', 'ok', /^$/],
  ['turns the collector off', 'import gc\ngc.disable()\ngc.set_threshold(1)', 'ok', /^$/],
  ['draws random numbers', 'import random, os\nrandom.seed(99)\nos.urandom(99)\nx = 1', 'ok', /^$/],
  ['keeps an object alive', 'import gc\na = []\na.append(a)\ngc.freeze()', 'ok', /^$/],
  ['changes settings of sys', 'import sys\nsys.intern("left")\nsys.set_int_max_str_digits(0)', 'ok', /^$/],
  [
    'patches the driver through its frame',
    'import sys\nf = sys._getframe().f_back\nf.f_globals["explain"] = None\nf.f_globals["main"].__code__ = (lambda: 1).__code__\n1/0',
    'error',
    /Error/,
  ],
  [
    'finds the driver among all objects',
    'import gc, types\nfor o in gc.get_objects():\n  if isinstance(o, types.FunctionType) and o.__name__ == "main": o.__defaults__ = None\nx = 1',
    'ok',
    /^$/,
  ],
  ['subclasses of object', 'len(().__class__.__base__.__subclasses__()) > 100', 'ok', /^True$/],
];

const limits = { workers: 1, memoryBytes: 48 * 2 ** 20, outputBytes: 1000 };
const tool = makePythonTool({ ...limits, timeoutMs: 20_000 });
const impatient = makePythonTool({ ...limits, timeoutMs: 200 });
let expected: string;

before(async () => {
  const fresh = makePythonTool({ ...limits, timeoutMs: 20_000 });
  const result = await fresh.call({ code: canary });
  await fresh.close();
  assert.equal(result.status, 'ok', result.output);
  expected = result.output;
});
after(async () => {
  await Promise.all([tool.close(), impatient.close()]);
});

const groups: [string, Attempt[], typeof tool][] = [
  ['files', files, tool],
  ['machine', machine, tool],
  ['crashes', crashes, tool],
  ['exhaustion', exhaustion, tool],
  ['leftovers', leftovers, tool],
  ['endless', endless, impatient],
];

for (const [group, attempts, used] of groups) {
  for (const [name, code, status, output] of attempts) {
    test(`contained (${group}): ${name}`, async () => {
      const result = await used.call({ code });
      assert.equal(result.status, status, result.output);
      assert.match(result.output, output);
      const after = await tool.call({ code: canary });
      assert.equal(after.output, expected, 'the next call is not clean');
      assert.equal((await used.call({ code: '6 * 7' })).output, '42');
    });
  }
}
