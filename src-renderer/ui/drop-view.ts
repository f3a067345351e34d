/** Which view can say what was dropped. Pure. */
import type { Picked } from '../../src-main/contract/window-records.ts';

/** `json` may be settings or tasks, which its text decides. Null where no view can. */
export function viewOfDrop({ name, isFolder }: Pick<Picked, 'name' | 'isFolder'>): 'models' | 'tasks' | 'settings' | 'json' | null {
  if (isFolder || /\.gguf$/i.test(name)) return 'models';
  if (/\.ya?ml$/i.test(name)) return 'settings';
  if (/\.jsonl$/i.test(name)) return 'tasks';
  return /\.json$/i.test(name) ? 'json' : null;
}
