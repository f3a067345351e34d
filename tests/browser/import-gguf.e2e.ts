/**
 * A GGUF file in the window, in a real browser on the real engine: dropped, described with what its copy and an adapter
 * take, imported, listed, chosen by its button; a damaged one says what is wrong. `npm run test:browser`.
 */
import assert from 'node:assert/strict';
import { copyFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { Page } from 'playwright-core';
import { ggufPath } from '../weights/gguf-fixtures.ts';
import { type Desk, openDesk, skip } from './desk.ts';

describe('a GGUF file', { skip, timeout: 600_000 }, () => {
  let desk: Desk;
  let page: Page;
  const found = () => page.getByRole('region', { name: 'What was found' });
  /** As a hand does, with files that lie in the drops folder by name. */
  const drop = (name: string) =>
    page.evaluate<void>(`(() => {
      const transfer = new DataTransfer();
      transfer.items.add(new File(['x'], ${JSON.stringify(name)}));
      for (const kind of ['dragenter', 'dragover', 'drop']) {
        document.body.dispatchEvent(new DragEvent(kind, { dataTransfer: transfer, bubbles: true, cancelable: true }));
      }
    })()`);

  before(async () => {
    desk = await openDesk();
    ({ page } = desk);
    desk.served.drops.folder = desk.folder;
    copyFileSync(ggufPath('qwen3'), join(desk.folder, 'tiny.Q4_K_M.gguf'));
    writeFileSync(join(desk.folder, 'cut.gguf'), readFileSync(ggufPath('qwen3')).subarray(0, 50_000));
  });
  after(() => desk?.close());

  test('that is damaged says what is wrong and cannot be imported', async () => {
    await drop('cut.gguf');
    await found().getByRole('alert').getByText('is not a valid GGUF file').waitFor();
    assert.equal(await found().getByRole('button', { name: 'Import', exact: true }).count(), 0);
  });

  test('that is dropped is described, imported under its name and listed', async () => {
    await drop('tiny.Q4_K_M.gguf');
    await found().getByText('qwen3', { exact: true }).waitFor();
    for (const term of ['size in the library', 'memory for an adapter']) await found().getByText(term).waitFor();
    assert.equal(await found().getByLabel('Name').inputValue(), 'tiny.Q4_K_M');
    await desk.look('models-gguf');
    await found().getByRole('button', { name: 'Import', exact: true }).click();
    await page.getByRole('row').filter({ hasText: 'imported:tiny.Q4_K_M' }).waitFor();
    assert.ok(existsSync(join(desk.folder, 'data', 'models', 'tiny.Q4_K_M', 'model.safetensors')));
  });

  test('is chosen by a button, and its name is refused the second time', async () => {
    desk.served.answers.file = join(desk.folder, 'tiny.Q4_K_M.gguf');
    await page.getByRole('button', { name: 'Import a GGUF file…' }).click();
    await found().getByText('A model is imported as tiny.Q4_K_M already.').waitFor();
    assert.deepEqual(desk.faults, []);
  });
});
