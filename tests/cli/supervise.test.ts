import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { after, afterEach, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { describeDeath } from '../../src-main/cli/engine-death.ts';
import { type Engine, EngineFault, startEngine } from '../../src-main/cli/supervise.ts';
import { makeWatchdog } from '../../src-main/cli/watchdog.ts';
import { ParetuneError } from '../../src-main/contract/errors.ts';
import type { Json } from '../../src-main/contract/records.ts';
import type { RunEvent } from '../../src-main/contract/run-events.ts';
import type { Progress } from '../../src-main/engine-process/protocol.ts';
import { isRunning } from '../is-running.ts';

const entry = new URL('./faulty-engine.ts', import.meta.url);
let engine: Engine | undefined;
afterEach(async () => {
  await engine?.close();
  engine = undefined;
});

function start(silenceMs = 60_000, onSilence?: (ms: number) => void): Engine {
  engine = startEngine({ dataFolder: '/data', silenceMs, onSilence, entry });
  return engine;
}

/** The error that a request must end in. */
async function failure(request: Promise<Json>): Promise<ParetuneError> {
  try {
    await request;
  } catch (error) {
    assert.ok(error instanceof ParetuneError, String(error));
    return error;
  }
  assert.fail('the request was answered');
}

test('a request is answered, with its progress thinned and its parts in order', async () => {
  const progress: Progress[] = [];
  const items: Json[] = [];
  const result = await start().request(
    'echo',
    {},
    {
      onProgress: (state) => progress.push(state),
      onItem: (item) => items.push(item),
    },
  );
  assert.deepEqual(result, { dataFolder: '/data' });
  assert.deepEqual(items, ['part']);
  assert.ok(progress.length < 100, `${progress.length} messages of progress`);
  assert.equal(progress.at(-1)?.done, 1000);
});

test('errors of the user cross the process with code, message and hint; our own keep their stack', async () => {
  const engine = start();
  const error = await failure(engine.request('theirs', {}));
  assert.deepEqual([error.code, error.message, error.hint], ['bad-data', 'Row 3 is empty.', 'Remove it.']);
  await assert.rejects(engine.request('ours', {}), (error) => {
    assert.ok(error instanceof EngineFault);
    assert.match(error.message, /TypeError: x is not a function\n\s+at /);
    return true;
  });
  assert.equal((await failure(engine.request('none', {}))).code, 'usage');
  assert.equal((await failure(engine.request('echo', { surplus: 1 }))).code, 'usage');
  assert.equal((await failure(engine.request('constructor', {}))).code, 'usage');
});

test('a fault outside any command reaches whoever waits', async () => {
  await assert.rejects(start().request('loose', {}), /RangeError: out of nowhere/);
});

test('a native fault becomes an error that names the signal, the last words and how to resume', async () => {
  const error = await failure(start().request('segfault', {}));
  assert.equal(error.code, 'engine');
  assert.match(error.message, /native fault \(SIGSEGV\)/);
  assert.match(error.message, /something native went wrong/);
  assert.match(error.hint, /paretune resume r7 goes on from step 40/);
});

test('an exit in the middle of a request is an error, and so is asking a process that has ended', async () => {
  const engine = start();
  assert.match((await failure(engine.request('exit', {}))).message, /exit code 3/);
  assert.equal((await failure(engine.request('echo', {}))).code, 'engine');
});

test('an engine that gives no sign of life is ended after the limit, with a word at half of it', async () => {
  const silences: number[] = [];
  const begin = performance.now();
  const error = await failure(start(1500, (ms) => silences.push(ms)).request('hang', {}));
  assert.ok(performance.now() - begin > 1400, 'it was given its time');
  assert.match(error.message, /no sign of life/);
  assert.match(error.hint, /resume r7/);
  assert.equal(silences.length, 1);
});

test('a long step within the limit is left alone', async () => {
  assert.equal(await start().request('longStep', {}), 'done');
});

test('silence is counted only while somebody waits, from the last sign of life, and not by the clock', () => {
  const watchdog = makeWatchdog(1000, 100);
  watchdog.alive();
  for (let i = 0; i < 50; i++) assert.equal(watchdog.tick(false), 'ok', 'an idle engine is not a silent one');
  const states = () => Array.from({ length: 10 }, () => watchdog.tick(true));
  assert.deepEqual(states(), ['ok', 'ok', 'ok', 'ok', 'quiet', 'ok', 'ok', 'ok', 'ok', 'lost']);
  watchdog.alive();
  assert.equal(states().indexOf('lost'), 9);
});

test('a process that is still starting is given two minutes', () => {
  const watchdog = makeWatchdog(1000, 1000);
  const states = Array.from({ length: 120 }, () => watchdog.tick(true));
  assert.equal(states.indexOf('lost'), 119);
});

test('stop lets the command finish; kill ends it at once and says how to go on', async () => {
  const engine = start();
  const polite = engine.request('untilStopped', {});
  engine.stop();
  assert.deepEqual(await polite, { status: 'stopped' });
  const stubborn = failure(engine.request('stubborn', {}, { onEvent: () => engine.kill() }));
  const error = await stubborn;
  assert.equal(error.code, 'interrupted');
  assert.match(error.hint, /paretune resume r7/);
});

test('a command that gives up on a stop is interrupted, not at fault', async () => {
  const engine = start();
  const stopped = failure(engine.request('abortable', {}));
  engine.stop();
  assert.equal((await stopped).code, 'interrupted');
});

test('the trajectories of a step do not cross the process', async () => {
  const events: RunEvent[] = [];
  await start().request('step', {}, { onEvent: (event) => events.push(event) });
  assert.deepEqual(events, [{ kind: 'step', runId: 'r7', step: 0, groups: [], metrics: {} }]);
});

test('the engine dies with its parent, however the parent dies', async () => {
  const parent = spawn(process.execPath, [
    '--input-type=module',
    '-e',
    `import { fork } from 'node:child_process';
     const child = fork(${JSON.stringify(entry.pathname)}, ['/data'], { serialization: 'advanced', execArgv: [] });
     child.on('message', () => console.log(child.pid));
     setInterval(() => {}, 1000);`,
  ]);
  after(() => parent.kill('SIGKILL'));
  const pid = await new Promise<number>((done) => parent.stdout.once('data', (text) => done(Number(text))));
  assert.ok(isRunning(pid));
  parent.kill('SIGKILL');
  for (let i = 0; i < 100 && isRunning(pid); i++) await sleep(50);
  assert.ok(!isRunning(pid), 'the engine outlived its parent');
});

test('the words for a death tell want of memory, native faults of every platform and plain exits apart', () => {
  const death = { command: 'tune', run: { runId: 'r1', step: 12 }, output: '' };
  const words = (more: object) => describeDeath({ ...death, ...more });
  assert.equal(words({ signal: 'SIGKILL' }).code, 'memory');
  assert.equal(words({ signal: 'SIGABRT', output: 'FATAL ERROR: JavaScript heap out of memory' }).code, 'memory');
  assert.match(words({ code: 0xc0000005 }).message, /native fault \(0xC0000005\) after step 12/);
  assert.match(words({ code: 9 }).hint, /resume r1 goes on from its start/);
  assert.match(describeDeath({ command: 'eval', run: {}, output: '', code: 1 }).hint, /can be given again/);
});
