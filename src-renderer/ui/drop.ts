/**
 * Dropping a file or folder on the window, whichever view is in front: main gives a handle for it, never a path; a model is
 * shown in Models with what was found, a task file in Tasks with its preview, settings in the form of a new run. Nothing is
 * imported or started by a drop.
 */
import type { Picked } from '../../src-main/contract/window-records.ts';
import { call } from '../bridge.ts';
import { session } from '../session.svelte.ts';
import { words } from '../words.ts';
import { viewOfDrop } from './drop-view.ts';

/** Looks at what was dropped in the view that can say what it is. */
export async function takeDrop(file: File): Promise<void> {
  try {
    const picked: Picked = await window.paretune.dropped(file);
    const view = viewOfDrop(picked);
    if (view === null) return session.tell(words.drop.other(picked.name), { hint: words.drop.what, error: true, ms: 20_000 });
    if ((view === 'settings' || view === 'json') && (await takeSettings(picked))) return;
    const shown = view === 'models' ? 'models' : 'tasks';
    session.drop = { view: shown, picked };
    session.show(shown);
  } catch (error) {
    session.fail(error);
  }
}

/** Opens the form with the settings of a file, or with what is wrong with them; false where the file holds none. */
export async function takeSettings({ handle, name }: Picked): Promise<boolean> {
  const { isSettings, config, given, complaints } = await call('readSettings', { file: handle });
  if (isSettings) session.newRun(config, { name, given, complaints });
  return isSettings;
}

/** An attachment for the whole window: marks it while something is dragged over it, takes what is dropped. */
export function dropZone(node: HTMLElement): () => void {
  const over = (event: DragEvent) => {
    event.preventDefault();
    node.toggleAttribute('data-over', event.type === 'dragover');
  };
  const drop = (event: DragEvent) => {
    over(event);
    const [file, ...others] = event.dataTransfer?.files ?? [];
    if (file) void takeDrop(file);
    if (others.length > 0) session.tell(words.drop.first(file.name));
  };
  const handlers = { dragover: over, dragleave: over, drop } as const;
  for (const [name, handler] of Object.entries(handlers)) node.addEventListener(name, handler as EventListener);
  return () => {
    for (const [name, handler] of Object.entries(handlers)) node.removeEventListener(name, handler as EventListener);
  };
}
