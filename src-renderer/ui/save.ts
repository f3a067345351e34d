/** Saving what is shown: main asks where. */
import { call } from '../bridge.ts';
import { session } from '../session.svelte.ts';
import { words } from '../words.ts';

/** A name that a file may have, of any text. */
export function fileName(text: string, ending: string): string {
  const stem = text.replace(/[^\p{L}\p{N} ._-]+/gu, '-').replace(/^[^\p{L}\p{N}]+/u, '').slice(0, 80);
  return `${stem || 'paretune'}.${ending}`;
}

export async function saveFile(name: string, data: string | Uint8Array<ArrayBuffer>): Promise<void> {
  try {
    const saved = await call('saveFile', { name, data });
    if (saved !== null) session.tell(words.chartFrame.saved(saved.name));
  } catch (error) {
    session.fail(error);
  }
}
