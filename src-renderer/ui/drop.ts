/** Dropping a file or folder on a view: main gives a handle for it, never a path. */
import type { Picked } from '../../src-main/contract/window-records.ts';
import { session } from '../session.svelte.ts';

/** An attachment: calls `take` with what was dropped on the node. */
export function dropZone(take: (picked: Picked) => void): (node: HTMLElement) => () => void {
  return (node) => {
    const over = (event: DragEvent) => {
      event.preventDefault();
      node.toggleAttribute('data-over', event.type === 'dragover');
    };
    const drop = (event: DragEvent) => {
      over(event);
      event.stopPropagation();
      const file = event.dataTransfer?.files[0];
      if (file) window.paretune.dropped(file).then(take, (error) => session.fail(error));
    };
    const handlers = { dragover: over, dragleave: over, drop } as const;
    for (const [name, handler] of Object.entries(handlers)) node.addEventListener(name, handler as EventListener);
    return () => {
      for (const [name, handler] of Object.entries(handlers)) node.removeEventListener(name, handler as EventListener);
    };
  };
}
