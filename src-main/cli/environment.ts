/**
 * Every environment variable that Paretune reads, and the folder it keeps its data in. Nothing else in the sources reads
 * process.env, but for the variables that the user lets an MCP server have (engine/tools/mcp-connection.ts); tests have
 * more of their own (PARETUNE_GOLDEN, PARETUNE_DATA, see scripts/test.ts).
 */
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';

export type Environment = {
  /** PARETUNE_HOME: the data folder, where `--data` does not name one */
  dataFolder: string;
  /** PARETUNE_ENGINE_SILENCE_SECONDS: how long the engine may give no sign of life before it is ended */
  engineSilenceMs: number;
  /** HF_ENDPOINT, HF_TOKEN and HF_HUB_OFFLINE, as the hub's own tools read them; used by `import --from-hub` alone */
  hub: { endpoint: string; token: string | null; offline: boolean };
};

/** One session of a large model may block the engine's thread for minutes: patience costs little, a killed run much. */
const defaultSilenceSeconds = 15 * 60;

export function readEnvironment(variables: NodeJS.ProcessEnv = process.env): Environment {
  const seconds = Number(variables.PARETUNE_ENGINE_SILENCE_SECONDS);
  return {
    dataFolder: resolve(variables.PARETUNE_HOME || userDataFolder(variables)),
    engineSilenceMs: (seconds > 0 ? seconds : defaultSilenceSeconds) * 1000,
    hub: {
      endpoint: variables.HF_ENDPOINT || 'https://huggingface.co',
      token: variables.HF_TOKEN?.trim() || null,
      offline: /^(1|on|yes|true)$/i.test(variables.HF_HUB_OFFLINE ?? ''),
    },
  };
}

/** Where each platform wants an application's own data; on macOS beside what Electron keeps in the folder of that name. */
function userDataFolder(variables: NodeJS.ProcessEnv): string {
  if (process.platform === 'darwin') return join(homedir(), 'Library', 'Application Support', 'Paretune', 'data');
  if (process.platform === 'win32') {
    return join(variables.LOCALAPPDATA || join(homedir(), 'AppData', 'Local'), 'Paretune');
  }
  return join(variables.XDG_DATA_HOME || join(homedir(), '.local', 'share'), 'paretune');
}
