/**
 * The keys of every command: the menu shows the first, the window listens for all. One table, so that the two cannot
 * differ. Not here: what a command is called (words of the window and of the menu) and what it does.
 */
import type { MenuCommand } from './window-api.ts';

/** `mod` is Ctrl, or Cmd on a Mac. A key without it is a letter of text fields too: there it types. */
export const commandKeys: Record<MenuCommand, readonly string[]> = {
  'new-run': ['mod+n'],
  'open-model': ['mod+o'],
  'open-task': ['mod+shift+o'],
  'open-settings': ['mod+shift+n'],
  'add-server': ['mod+shift+a'],
  export: ['e'],
  'save-table': ['mod+s'],
  'save-chart': ['mod+shift+s'],
  undo: ['mod+z'],
  redo: ['mod+shift+z', 'mod+y'],
  find: ['/', 'mod+f'],
  palette: ['mod+k'],
  shortcuts: ['?'],
  'view-runs': ['mod+1'],
  'view-models': ['mod+2'],
  'view-tasks': ['mod+3'],
  'view-tools': ['mod+4'],
  'view-compare': ['mod+5'],
  'view-device': ['mod+6'],
  'pause-or-resume': [' '],
  stop: ['mod+.'],
  'previous-step': ['['],
  'next-step': [']'],
  play: ['p'],
  'delete-run': ['Delete'],
  settings: ['mod+,'],
};
