/** `install-cuda`: puts the libraries that CUDA needs into this installation, fetched or from a folder. Only the command line asks for it. */
import { resolve } from 'node:path';
import { z } from 'zod';
import { defineCommand } from '../command.ts';
import { type Installed, installCuda } from '../../engine/runtime/cuda-install.ts';

export const command = defineCommand({
  /** `folder`: absolute, or null to fetch them */
  payload: z.strictObject({ folder: z.string().nullable() }),
  run({ folder }, { progress }): Promise<Installed> {
    return installCuda({
      from: folder === null ? null : resolve(folder),
      onProgress: (label) => progress({ label, done: 0, total: 0 }),
    });
  },
});
