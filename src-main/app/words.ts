/** All English texts of the main process (menu, dialogs, notifications), in one place so that they can be translated. */
import type { MenuCommand, purposes } from '../contract/window-api.ts';

const commands: Record<MenuCommand, string> = {
  'new-run': 'New Run',
  'open-model': 'Import Model…',
  'open-task': 'Open Task File…',
  'open-settings': 'New Run from a Settings File…',
  'add-server': 'Add MCP Server…',
  export: 'Export Model…',
  'save-table': 'Save Table as CSV…',
  'save-chart': 'Save Chart as SVG…',
  undo: 'Undo',
  redo: 'Redo',
  find: 'Find Trajectories',
  palette: 'Command Palette',
  shortcuts: 'Keyboard Shortcuts',
  'view-runs': 'Runs',
  'view-models': 'Models',
  'view-tasks': 'Tasks',
  'view-tools': 'Tools',
  'view-compare': 'Compare',
  'view-device': 'Device',
  'pause-or-resume': 'Pause or Resume',
  stop: 'Stop',
  'previous-step': 'Previous Step',
  'next-step': 'Next Step',
  play: 'Play Steps',
  'delete-run': 'Delete Run',
  settings: 'Settings',
};

const dialogs: Record<(typeof purposes)[number] | 'save', string> = {
  model: 'Choose the folder of a model',
  gguf: 'Choose a GGUF file',
  task: 'Choose a task file',
  settings: 'Choose a settings file',
  corpus: 'Choose a corpus file',
  export: 'Choose where the exported folder goes',
  data: 'Choose the folder in which the data folder is to lie',
  save: 'Save',
};

export const appWords = {
  menu: {
    commands,
    file: 'File',
    edit: 'Edit',
    view: 'View',
    run: 'Run',
    help: 'Help',
    guide: 'Guide (opens the browser)',
    paper: 'The Paper (opens the browser)',
  },
  dialogs,
  /** before a server of the user's own is started or reached for the first time */
  addServer: {
    title: 'Add an MCP server',
    start: (name: string) => `Start this program as the MCP server ${name}?`,
    reach: (name: string) => `Connect to this address as the MCP server ${name}?`,
    /** the command is on a line of its own */
    startDetail: (command: string, env: string) =>
      `${command}\n\nIt runs with your rights: it can read and change your files and use the network. ${env === '' ? '' : `It is given the environment variables ${env}. `}None of its tools may be called before you approve it.`,
    reachDetail: (address: string) =>
      `${address}\n\nWhat an agent passes to its tools goes there. None of its tools may be called before you approve it.`,
    startYes: 'Start it',
    reachYes: 'Connect',
    no: 'Cancel',
  },
  runFailed: (run: string) => `Run ${run} failed`,
  runFinished: (run: string) => `Run ${run} has finished`,
  runEnded: (step: number, reason: string) => `Step ${step}. ${reason}`,
  engineGone: (reason: string) => `The engine ${reason}.`,
  /** `how`: on the CPU, or with smaller batches */
  goesOn: (how: string, step: number) => `The run goes on ${how} from step ${step}; nothing that was saved is lost.`,
  smallerBatch: 'A smaller rollout batch or micro-batch needs less memory.',
};
