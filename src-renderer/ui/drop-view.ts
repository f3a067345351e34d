/** Which view can say what was dropped. Pure. */
import type { Picked } from '../../src-main/contract/window-records.ts';

/** Null where none can. */
export function viewOfDrop({ name, isFolder }: Pick<Picked, 'name' | 'isFolder'>): 'models' | 'tasks' | null {
  if (isFolder) return 'models';
  return /\.(jsonl|json)$/i.test(name) ? 'tasks' : null;
}
