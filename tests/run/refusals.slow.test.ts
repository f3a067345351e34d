/** What a run refuses before anything is spent: a folder that another run writes, a template that rewrites what was said. */
import assert from 'node:assert/strict';
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { withStore } from '../../src-main/engine-process/with-store.ts';
import { modelFolderOf, openAgent } from '../../src-main/engine/run/agent.ts';
import { openStore } from '../../src-main/store/open-store.ts';
import { openTasks, runEvents, temporaryFolder, tinyConfig } from './starter.ts';

const config = tinyConfig({ model: 'starter:under-user', tasks: ['arithmetic-calculator'], steps: 1 });

test('a second run on a data folder is refused with the writer named, and the first goes on to its end', async (t) => {
  const folder = temporaryFolder(t);
  const store = openStore(folder, { mode: 'write' });
  t.after(() => store.close());
  let refused = 0;
  await runEvents(config, folder, {
    onEvent(event) {
      store.append(event);
      if (event.kind !== 'step') return;
      const second = openStore(folder, { mode: 'write' });
      assert.equal(second.mode, 'read');
      assert.throws(() => second.append({ ...event, step: 2 }), { code: 'store', message: /reading only/ });
      second.close();
      refused++;
    },
  });
  await assert.rejects(
    withStore(folder, 'write', () => assert.fail('it got a store to write')),
    { code: 'store', message: new RegExp(`process ${process.pid} .*one run at a time`) },
  );
  assert.equal(refused, 1);
  assert.equal(store.getRun('test').status, 'finished');
  assert.deepEqual(
    store.steps('test').map(({ step }) => step),
    [1],
  );
});

test('all events of a run come back from the store in their order', async (t) => {
  const folder = temporaryFolder(t);
  const store = openStore(folder, { mode: 'write' });
  t.after(() => store.close());
  let asked = 0;
  const takePrices = () => (asked++ === 1 ? { calculator: 2.5 } : null);
  const events = await runEvents({ ...config, steps: 2, evaluation: { everySteps: 1, greedy: true } }, folder, {
    dependencies: { takePrices },
    onEvent: (event) => store.append(event),
  });
  const stored = store.events('test', { groups: true }).map(({ event }) => event);
  assert.deepEqual(
    stored.map((event) => event.kind),
    events.map((event) => event.kind),
  );
  for (const [i, event] of events.entries()) assert.deepEqual(stored[i], event, `event ${i}, ${event.kind}`);
  const kinds = new Set(events.map((event) => event.kind));
  for (const kind of ['started', 'evaluated', 'checkpoint', 'step', 'prices', 'ended'] as const) {
    assert.ok(kinds.has(kind), kind);
  }
  // the new prices are in a checkpoint before anything is done with them
  const changed = events.findIndex((event) => event.kind === 'prices');
  assert.equal(events[changed + 1].kind, 'checkpoint');
});

test('a chat template that rewrites earlier turns is refused, with what it rewrites', async (t) => {
  const folder = temporaryFolder(t);
  const model = join(folder, 'model');
  cpSync(modelFolderOf('starter:under-user'), model, { recursive: true });
  const path = join(model, 'chat_template.jinja');
  const template = readFileSync(path, 'utf8');
  // what the model said is shown only while it is the last thing said, as templates that drop earlier thoughts do
  const forgetful = template
    .replace('message.tool_calls or []', '(message.tool_calls or []) if loop.last else []')
    .replace("(message.content or '')", "(message.content or '' if loop.last else '')");
  assert.ok(forgetful.length > template.length + 30);
  writeFileSync(path, forgetful);
  await assert.rejects(openTasks(openAgent(model), ['arithmetic-calculator'], folder), {
    code: 'unsupported',
    message: /rewrites earlier turns/,
    hint: /chat_template\.jinja/,
  });
});
