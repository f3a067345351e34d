/**
 * The application menu: every command with its key. Commands of the window are told to it by name. Keys that are letters
 * of a text field as well (space, brackets, E) are only shown here; the window listens for them itself.
 */
import type { MenuCommand } from '../contract/window-api.ts';

/** What is used of Electron's menu template. */
export type MenuItem = {
  label?: string;
  role?:
    | 'quit'
    | 'cut'
    | 'copy'
    | 'paste'
    | 'selectAll'
    | 'togglefullscreen'
    | 'minimize'
    | 'close'
    | 'about'
    | 'hide'
    | 'resetZoom'
    | 'zoomIn'
    | 'zoomOut'
    | 'toggleDevTools';
  type?: 'separator';
  accelerator?: string;
  registerAccelerator?: boolean;
  submenu?: MenuItem[];
  click?: () => void;
};

type Line = [label: string, command: MenuCommand, key?: string, kind?: 'shown'];
const line: MenuItem = { type: 'separator' };

/** The template. `tell` brings a command to the window; macOS registers every key it shows, so plain letters stay out. */
export function menuTemplate(
  platform: string,
  packaged: boolean,
  tell: (command: MenuCommand) => void,
  openHelp: (id: 'guide' | 'paper') => void,
): MenuItem[] {
  const mac = platform === 'darwin';
  const item = ([label, command, key, kind]: Line): MenuItem => {
    const click = () => tell(command);
    if (key === undefined || (kind === 'shown' && mac)) return { label, click };
    return { label, click, accelerator: key, ...(kind === 'shown' ? { registerAccelerator: false } : {}) };
  };
  const items = (...lines: Line[]) => lines.map(item);
  return [
    ...(mac
      ? [
          {
            label: 'Paretune',
            submenu: [{ role: 'about' }, line, { role: 'hide' }, line, { role: 'quit' }],
          } as MenuItem,
        ]
      : []),
    {
      label: 'File',
      submenu: [
        ...items(
          ['New Run', 'new-run', 'CmdOrCtrl+N'],
          ['Import Model…', 'open-model', 'CmdOrCtrl+O'],
          ['Open Task File…', 'open-task', 'CmdOrCtrl+Shift+O'],
        ),
        line,
        ...items(
          ['Export Model…', 'export', 'E', 'shown'],
          ['Save Table as CSV…', 'save-table', 'CmdOrCtrl+S'],
          ['Save Chart…', 'save-chart', 'CmdOrCtrl+Shift+S'],
        ),
        line,
        ...items(['Settings', 'settings', 'CmdOrCtrl+,']),
        line,
        mac ? { role: 'close' } : { role: 'quit', accelerator: 'CmdOrCtrl+Q' },
      ],
    },
    {
      label: 'Edit',
      submenu: [
        ...items(['Undo', 'undo', 'CmdOrCtrl+Z', 'shown'], ['Redo', 'redo', mac ? 'Cmd+Shift+Z' : 'Ctrl+Y', 'shown']),
        line,
        { role: 'cut' },
        { role: 'copy' },
        { role: 'paste' },
        { role: 'selectAll' },
        line,
        ...items(['Find Trajectories', 'find', 'CmdOrCtrl+F'], ['Delete Run', 'delete-run', 'Delete', 'shown']),
      ],
    },
    {
      label: 'View',
      submenu: [
        ...items(
          ['Runs', 'view-runs', 'CmdOrCtrl+1'],
          ['Models', 'view-models', 'CmdOrCtrl+2'],
          ['Tasks', 'view-tasks', 'CmdOrCtrl+3'],
          ['Tools', 'view-tools', 'CmdOrCtrl+4'],
          ['Compare', 'view-compare', 'CmdOrCtrl+5'],
          ['Device', 'view-device', 'CmdOrCtrl+6'],
        ),
        line,
        ...items(['Command Palette', 'palette', 'CmdOrCtrl+K']),
        line,
        { role: 'resetZoom' },
        { role: 'zoomIn' },
        { role: 'zoomOut' },
        { role: 'togglefullscreen' },
        ...(packaged ? [] : [line, { role: 'toggleDevTools' } as MenuItem]),
      ],
    },
    {
      label: 'Run',
      submenu: [
        ...items(['Pause or Resume', 'pause-or-resume', 'Space', 'shown'], ['Stop', 'stop', 'CmdOrCtrl+.']),
        line,
        ...items(
          ['Previous Step', 'previous-step', '[', 'shown'],
          ['Next Step', 'next-step', ']', 'shown'],
          ['Play Steps', 'play', 'P', 'shown'],
        ),
      ],
    },
    {
      label: 'Help',
      submenu: [
        ...items(['Keyboard Shortcuts', 'shortcuts', '?', 'shown']),
        { label: 'Guide (opens the browser)', click: () => openHelp('guide') },
        { label: 'The Paper (opens the browser)', click: () => openHelp('paper') },
      ],
    },
  ];
}
