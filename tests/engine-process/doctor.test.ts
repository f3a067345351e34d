/** What the doctor makes of the GPUs that it found: `ok` is said only where one can be used. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cardsFound, type GpuFinding, gpuOutcome } from '../../src-main/engine-process/commands/doctor.ts';

const absent: GpuFinding = {
  name: 'webgpu',
  state: 'absent',
  message: 'The provider webgpu does not start here: no adapter',
  needs: 'It needs a graphics driver.',
};
const agrees: GpuFinding = { name: 'cuda', state: 'agrees', message: 'cuda agrees with the CPU', needs: '' };

test('where no provider starts, the GPU is no "ok": the reason, what is needed, and that the CPU does all', () => {
  const { state, message, hint } = gpuOutcome([absent]);
  assert.equal(state, 'warning');
  assert.match(message, /^No GPU can be used\. .*no adapter/);
  assert.match(hint!, /^Runs use the CPU.*graphics driver/);
  assert.equal(gpuOutcome([]).state, 'warning');
  assert.equal(gpuOutcome([{ ...agrees, state: 'differs' }]).state, 'warning');
});

test('a GPU that leaves nodes to the CPU can be used, with a warning', () => {
  const { state, message } = gpuOutcome([{ ...agrees, state: 'slow', message: 'leaves 2 nodes to the CPU' }]);
  assert.equal(state, 'warning');
  assert.equal(message, 'leaves 2 nodes to the CPU');
});

test('one GPU that agrees with the CPU is enough', () => {
  assert.deepEqual(gpuOutcome([agrees, absent]), { message: `${agrees.message}; ${absent.message}` });
});

test('graphics cards are named with the memory that is theirs alone, as far as the system knows it', () => {
  const card = { model: 'RTX 4070', vendor: 'NVIDIA', vram: 12282, vramDynamic: false, driverVersion: '550.54' };
  assert.equal(cardsFound([]), 'the system names none');
  assert.equal(
    cardsFound([card, { model: '', vendor: 'Intel', vram: 128, vramDynamic: true }]),
    'RTX 4070, 12.9 GB, driver 550.54; Intel, memory of its own unknown',
  );
  assert.match(cardsFound([{ ...card, vram: null }]), /memory of its own unknown/);
});
