/** Copies a data folder and stands still in the middle, to be killed there: `node copy-child.ts FROM TO`. */
import { writeSync } from 'node:fs';
import { copyData } from '../../src-main/app/data-folder.ts';

const [from, to] = process.argv.slice(2);
await copyData(from, to, {
  progress({ done, total }) {
    if (done < total / 4) return;
    writeSync(1, 'in the middle\n');
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 60_000);
  },
});
