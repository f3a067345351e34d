/** The bridge: one frozen object, `window.paretune`. No event, no ipcRenderer and no path reaches the page. */
import { contextBridge, ipcRenderer, webUtils } from 'electron';
import type { Feed } from '../contract/window-api.ts';
import type { Answer } from './relay.ts';

async function ask(channel: string, ...args: unknown[]): Promise<unknown> {
  const answer = (await ipcRenderer.invoke(channel, ...args)) as Answer;
  if (answer.ok) return answer.value;
  throw answer.error;
}

contextBridge.exposeInMainWorld(
  'paretune',
  Object.freeze({
    call: (name: string, payload: unknown) => ask('paretune:call', name, payload),
    dropped: (file: File) => ask('paretune:dropped', webUtils.getPathForFile(file)),
    onFeed(listener: (feed: Feed) => void) {
      const hear = (_event: unknown, feeds: Feed[]) => {
        for (const feed of feeds) listener(feed);
      };
      ipcRenderer.on('paretune:feed', hear);
      return () => void ipcRenderer.removeListener('paretune:feed', hear);
    },
  }),
);
