/** `window-prices`: new prices for the run that computes here, from its next step on. */
import { z } from 'zod';
import { defineCommand } from '../command.ts';
import { setPrices } from '../price-changes.ts';

export const command = defineCommand({
  payload: z.strictObject({ run: z.string(), prices: z.record(z.string(), z.number().min(0).max(1e12)) }),
  async run({ run, prices }): Promise<null> {
    setPrices(run, prices);
    return null;
  },
});
