/**
 * The Python side of the sandbox: the program that runs once before the memory image is taken, and the function `main`
 * that runs in every call. Not a boundary: code under test may walk to it, patch it or break it, since what it can gain is
 * its own answer, and the next call starts from the image again.
 *
 * Its words to the host go through what exists anyway: descriptor 0 is written with a verdict text, the exit code says how
 * the call ended, and the size of descriptor 1 tells whether anything was printed.
 */

/** How `main` ends; any other code comes from the called program itself (os._exit). */
export const exitCode = { booted: 64, ok: 65, error: 66, memory: 67 };

/** Modules that small programs import. What is not here is imported from the packed library when asked for (5-100 ms). */
const preloaded = [
  ...[
    'abc',
    'array',
    'ast',
    'bisect',
    'builtins',
    'calendar',
    'cmath',
    'collections',
    'contextlib',
    'copy',
    'dataclasses',
  ],
  ...[
    'datetime',
    'decimal',
    'enum',
    'fractions',
    'functools',
    'gc',
    'hashlib',
    'heapq',
    'io',
    'itertools',
    'json',
    'math',
  ],
  ...[
    'numbers',
    'operator',
    'os',
    'random',
    're',
    'statistics',
    'string',
    'struct',
    'sys',
    'textwrap',
    'time',
    'types',
    'typing',
  ],
];

/** Kept free until an error is reported, so that an exhausted memory can still be told. */
const reserveBytes = 262144;

/** Free memory that the image keeps at hand: a call that needs more makes the memory grow, and then a new instance is due. */
const headroomBytes = 4 * 2 ** 20;

/** Source of the boot program, UTF-8 Python 3.12. Ends with exit code `booted` and the address of `main` as its verdict. */
export const bootProgram = `
import ${preloaded.join(', ')}

def main(os=os, ast=ast, sys=sys, stdout=sys.stdout):
    source = b''
    while chunk := os.read(0, 65536):
        source += chunk
    module = types.ModuleType('__main__')
    sys.modules['__main__'] = module
    scope = module.__dict__
    reserve = bytearray(${reserveBytes})
    status, verdict = ${exitCode.ok}, ''
    try:
        body = ast.parse(textwrap.dedent(source.decode()).strip(), '<python>').body
        last = body.pop() if body and isinstance(body[-1], ast.Expr) else None
        exec(compile(ast.Module(body, []), '<python>', 'exec'), scope)
        value = eval(compile(ast.Expression(last.value), '<python>', 'eval'), scope) if last else None
        stdout.flush()
        if value is not None and os.fstat(1).st_size == 0:
            verdict = str(value)
    except BaseException as error:
        del reserve
        error.__traceback__ = None
        status, verdict = explain(error)
        if status == ${exitCode.memory}:
            scope.clear()
    try:
        stdout.flush()
    except BaseException:
        pass
    os.write(0, verdict.encode('utf-8', 'backslashreplace'))
    os._exit(status)

def explain(error):
    name = type(error).__name__
    try:
        text = f'{error.msg} (line {error.lineno})' if isinstance(error, SyntaxError) else str(error)
    except BaseException:
        text = ''
    if isinstance(error, SystemExit) and error.code in (None, 0):
        return ${exitCode.ok}, ''
    # on a 64-bit machine, a sequence of that length is a MemoryError as well
    if isinstance(error, MemoryError) or isinstance(error, OverflowError) and 'index-sized' in text:
        return ${exitCode.memory}, 'MemoryError'
    line = f'{name}: {text}' if text else name
    return ${exitCode.error}, ' '.join(line.split())[:500]

# as a user's program would find them
sys.argv, sys.orig_argv = [''], ['python']
sys.stdout.reconfigure(encoding='utf-8', errors='backslashreplace')
random.seed(0)

# what Python makes on first use belongs into the image: syntax tree types, caches, specialised code
for sample in ('x = [i * 2.5 for i in range(9)]', 'f"{sum((1, 2)) / 7:.2f}"', 're.sub("a+", "b", "aa")', 'sorted({"b": 2})'):
    eval(compile(ast.parse(sample, mode='exec'), '<warm>', 'exec'), {'re': re})
try:
    1 / 0
except ZeroDivisionError as error:
    explain(error)
del sample
headroom = bytearray(${headroomBytes})
del headroom
# a call is short and its memory is bounded: frequent collections would only cost time
gc.set_threshold(50_000, 20, 20)
gc.collect()
gc.freeze()
os.write(0, str(id(main)).encode())
os._exit(${exitCode.booted})
`;
