/** Commands of the window: what they do, and which key means which. The menu names the same ones; views bring handlers of their own. */
import { tick } from 'svelte';
import { commandKeys } from '../src-main/contract/command-keys.ts';
import type { MenuCommand } from '../src-main/contract/window-api.ts';
import { call } from './bridge.ts';
import { type Savable, session, type ViewName } from './session.svelte.ts';
import { takeSettings } from './ui/drop.ts';
import { words } from './words.ts';

/** In the order of the palette; each with the key that is shown for it. */
export const keys = (Object.keys(commandKeys) as MenuCommand[]).map((command) => [command, commandKeys[command][0]] as const);

/** Does it; what the view in front has its own answer for goes there. */
export function perform(command: MenuCommand): void {
  const own = session.handlerOf(command);
  if (own) return own();
  if (command === 'new-run') session.newRun();
  else if (command === 'settings') session.show('device');
  else if (command === 'open-model') performIn('models', command);
  else if (command === 'open-task') performIn('tasks', command);
  else if (command === 'open-settings') pickSettings();
  else if (command === 'add-server') performIn('tools', command);
  else if (command === 'undo') session.undoLast();
  else if (command === 'pause-or-resume') pauseOrResume();
  else if (command === 'stop') call('stop', {}).catch((error) => session.fail(error));
  else if (command === 'save-chart') saveFirst(session.charts, words.nothing.chart);
  else if (command === 'save-table') saveFirst(session.tables, words.nothing.table);
  else if (command.startsWith('view-')) session.show(command.slice('view-'.length) as ViewName);
}

/** Shows a view, and has it do what only it can. */
function performIn(view: ViewName, command: MenuCommand): void {
  session.show(view);
  void tick().then(() => session.handlerOf(command)?.());
}

/** Saves what holds the focus, else the first of the view. */
function saveFirst(shown: ReadonlySet<Savable>, none: string): void {
  const inOrder = [...shown].sort((a, b) => (a.node.compareDocumentPosition(b.node) & Node.DOCUMENT_POSITION_FOLLOWING ? -1 : 1));
  const chosen = inOrder.find(({ node }) => node.contains(document.activeElement)) ?? inOrder[0];
  if (chosen) chosen.save();
  else session.tell(none);
}

/** A new run from a file of settings. */
export function pickSettings(): void {
  call('pickFile', { purpose: 'settings' })
    .then(async (picked) => {
      if (picked !== null && !(await takeSettings(picked))) session.tell(words.drop.noSettings(picked.name), { error: true });
    })
    .catch((error) => session.fail(error));
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
  const typing = target !== null && (target.matches('input:not([type=checkbox], [type=radio], [type=range]), textarea, select') || target.isContentEditable);
  const modified = event.ctrlKey || event.metaKey;
  if (event.altKey || (typing && !modified)) return null;
  // Space presses what has the focus, where that can be pressed; a field has an undo of its own
  if (event.key === ' ' && target?.closest('button, a, input, summary, [role=button], [tabindex]')) return null;
  if (typing && /^[zZ]$/.test(event.key) && target?.closest('form') === null) return null;
  const name = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const shift = modified && event.shiftKey ? 'shift+' : '';
  const pressed = `${modified ? 'mod+' : ''}${shift}${name}`;
  return keys.find(([command]) => commandKeys[command].includes(pressed))?.[0] ?? null;
}

/** `Ctrl+Shift+Z`, for people. */
export function keyText(key: string): string {
  const mac = /mac/i.test(navigator.platform);
  return key
    .split('+')
    .map((part) => (part === 'mod' ? (mac ? 'Cmd' : 'Ctrl') : part === 'shift' ? 'Shift' : part === ' ' ? 'Space' : part.length === 1 ? part.toUpperCase() : part))
    .join('+');
}
