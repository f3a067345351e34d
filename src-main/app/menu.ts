/**
 * The application menu: every command with its key. Commands of the window are told to it by name. Keys that a text field
 * has a use for as well (space, brackets, E, undo) are only shown here; the window listens for them itself.
 */
import { commandKeys } from '../contract/command-keys.ts';
import type { MenuCommand } from '../contract/window-api.ts';
import { appWords } from './words.ts';

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

const line: MenuItem = { type: 'separator' };
const words = appWords.menu;

/** `mod+shift+z` as Electron writes it. */
function acceleratorOf(key: string): string {
  const names: Record<string, string> = { mod: 'CmdOrCtrl', shift: 'Shift', ' ': 'Space' };
  return key
    .split('+')
    .map((part) => names[part] ?? (part.length === 1 ? part.toUpperCase() : part))
    .join('+');
}

/** The template. `tell` brings a command to the window; macOS registers every key it shows, so plain letters stay out. */
export function menuTemplate(
  platform: string,
  packaged: boolean,
  tell: (command: MenuCommand) => void,
  openHelp: (id: 'guide' | 'paper') => void,
): MenuItem[] {
  const mac = platform === 'darwin';
  const item = (command: MenuCommand): MenuItem => {
    const label = words.commands[command];
    const click = () => tell(command);
    const [key] = commandKeys[command];
    const shown = !key.startsWith('mod+') || command === 'undo' || command === 'redo';
    if (shown && mac) return { label, click };
    return { label, click, accelerator: acceleratorOf(key), ...(shown ? { registerAccelerator: false } : {}) };
  };
  const items = (...commands: MenuCommand[]) => commands.map(item);
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
      label: words.file,
      submenu: [
        ...items('new-run', 'open-settings', 'open-model', 'open-task', 'add-server'),
        line,
        ...items('export', 'save-table', 'save-chart'),
        line,
        ...items('settings'),
        line,
        mac ? { role: 'close' } : { role: 'quit', accelerator: 'CmdOrCtrl+Q' },
      ],
    },
    {
      label: words.edit,
      submenu: [
        ...items('undo', 'redo'),
        line,
        { role: 'cut' },
        { role: 'copy' },
        { role: 'paste' },
        { role: 'selectAll' },
        line,
        ...items('find', 'delete-run'),
      ],
    },
    {
      label: words.view,
      submenu: [
        ...items('view-runs', 'view-models', 'view-tasks', 'view-tools', 'view-compare', 'view-device'),
        line,
        ...items('palette'),
        line,
        { role: 'resetZoom' },
        { role: 'zoomIn' },
        { role: 'zoomOut' },
        { role: 'togglefullscreen' },
        ...(packaged ? [] : [line, { role: 'toggleDevTools' } as MenuItem]),
      ],
    },
    {
      label: words.run,
      submenu: [...items('pause-or-resume', 'stop'), line, ...items('previous-step', 'next-step', 'play')],
    },
    {
      label: words.help,
      submenu: [
        ...items('shortcuts'),
        { label: words.guide, click: () => openHelp('guide') },
        { label: words.paper, click: () => openHelp('paper') },
      ],
    },
  ];
}
