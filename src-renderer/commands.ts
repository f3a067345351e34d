/** Commands of the window: their keys and what they do. The menu names the same ones; views bring handlers of their own. */
import type { MenuCommand } from '../src-main/contract/window-api.ts';
import { call } from './bridge.ts';
import { session, type ViewName } from './session.svelte.ts';

/** `mod` is Ctrl, or Cmd on a Mac. In the order of the palette. */
export const keys: [MenuCommand, string][] = [
  ['new-run', 'mod+n'],
  ['view-runs', 'mod+1'],
  ['view-models', 'mod+2'],
  ['view-tasks', 'mod+3'],
  ['view-tools', 'mod+4'],
  ['view-compare', 'mod+5'],
  ['view-device', 'mod+6'],
  ['pause-or-resume', ' '],
  ['stop', ''],
  ['previous-step', '['],
  ['next-step', ']'],
  ['play', 'p'],
  ['export', 'e'],
  ['find', '/'],
  ['save-table', ''],
  ['save-chart', ''],
  ['open-model', ''],
  ['open-task', ''],
  ['delete-run', ''],
  ['undo', 'mod+z'],
  ['redo', 'mod+shift+z'],
  ['settings', 'mod+,'],
  ['palette', 'mod+k'],
  ['shortcuts', '?'],
];

/** Does it; what the view in front has its own answer for goes there. */
export function perform(command: MenuCommand): void {
  const own = session.handlers[command];
  if (own) return own();
  if (command === 'new-run') session.newRun();
  else if (command === 'settings') session.show('device');
  else if (command === 'open-model') session.show('models');
  else if (command === 'open-task') session.show('tasks');
  else if (command === 'pause-or-resume') pauseOrResume();
  else if (command === 'stop') call('stop', {}).catch((error) => session.fail(error));
  else if (command.startsWith('view-')) session.show(command.slice('view-'.length) as ViewName);
}

/** Pauses the active run, or goes on with it. */
export function pauseOrResume(): void {
  const { active } = session;
  if (active === null) return;
  const done = active.phase === 'paused' ? call('resume', { run: active.runId }) : call('pause', {});
  done.catch((error) => session.fail(error));
}

/** The command that a key means, or null. Keys without a modifier are left to whoever is being typed into. */
export function commandOf(event: KeyboardEvent): MenuCommand | null {
  const target = event.target instanceof HTMLElement ? event.target : null;
  const typing = target !== null && (/^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName) || target.isContentEditable);
  const modified = event.ctrlKey || event.metaKey;
  if (event.altKey || (typing && !modified)) return null;
  // Space presses what has the focus, where that can be pressed; a field has an undo of its own
  if (event.key === ' ' && target?.closest('button, a, summary, [role=button], [tabindex]')) return null;
  if (typing && /^[zZ]$/.test(event.key) && target?.closest('form') === null) return null;
  const name = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const shift = modified && event.shiftKey ? 'shift+' : '';
  const pressed = `${modified ? 'mod+' : ''}${shift}${name}`;
  return keys.find(([, key]) => key === pressed)?.[0] ?? null;
}

/** `Ctrl+Shift+Z`, for people. */
export function keyText(key: string): string {
  const mac = /mac/i.test(navigator.platform);
  return key
    .split('+')
    .map((part) => (part === 'mod' ? (mac ? 'Cmd' : 'Ctrl') : part === ' ' ? 'Space' : part.length === 1 ? part.toUpperCase() : 'Shift'))
    .join('+');
}
