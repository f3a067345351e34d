/**
 * Electron's security checklist, as far as it is code (facts/ecosystem.md A1; its items by number). What a page of ours
 * never needs is denied for every page: permissions, other addresses, new windows, embedded pages, the network.
 */
import type { helpIds } from '../contract/window-api.ts';
import { isOwn, scheme } from './app-protocol.ts';

type Preventable = { preventDefault(): void };

/** What is used of Electron's session. */
export type SecuredSession = {
  setPermissionRequestHandler(
    handler: (contents: unknown, permission: string, answer: (granted: boolean) => void) => void,
  ): void;
  setPermissionCheckHandler(handler: () => boolean): void;
  setDevicePermissionHandler(handler: () => boolean): void;
  webRequest: {
    onBeforeRequest(handler: (details: { url: string }, answer: (decision: { cancel: boolean }) => void) => void): void;
  };
  setSpellCheckerEnabled(enable: boolean): void;
};

/** What is used of Electron's contents of a page. */
export type SecuredContents = {
  on(name: string, listener: (event: Preventable, ...details: never[]) => void): unknown;
  setWindowOpenHandler(handler: () => { action: 'deny' }): void;
};

/** Items 2, 3, 4, 6, 8, 9, 10, 12: all said, though most are the defaults. */
export const webPreferences = {
  contextIsolation: true,
  nodeIntegration: false,
  nodeIntegrationInWorker: false,
  nodeIntegrationInSubFrames: false,
  sandbox: true,
  webSecurity: true,
  webviewTag: false,
  navigateOnDragDrop: false,
  // Chromium's spelling dictionaries come from the network
  spellcheck: false,
} as const;

/** Item 18, before the app is ready: the scheme counts as secure and standard, nothing else is granted. */
export const schemes = [{ scheme, privileges: { standard: true, secure: true, supportFetchAPI: true } }];

/** Switches of Chromium: no name resolves, whatever asks (item 1). */
export const switches: readonly [name: string, value: string][] = [
  ['host-resolver-rules', 'MAP * ~NOTFOUND'],
  ['disable-background-networking', ''],
];

/** Items 1 and 5: no permission, no device, no request but to the app itself. */
export function secureSession(session: SecuredSession): void {
  session.setPermissionRequestHandler((_contents, _permission, answer) => answer(false));
  session.setPermissionCheckHandler(() => false);
  session.setDevicePermissionHandler(() => false);
  session.setSpellCheckerEnabled(false);
  session.webRequest.onBeforeRequest(({ url }, answer) => answer({ cancel: !isOwn(url) && !isHarmless(url) }));
}

/** Data within the page, and the developer tools of an unpackaged app: neither leaves the machine. */
function isHarmless(url: string): boolean {
  return /^(data|blob|devtools):/.test(url);
}

/** Items 11, 12, 13, 14: a page stays where it is, opens nothing and embeds nothing. */
export function secureContents(contents: SecuredContents): void {
  for (const name of ['will-navigate', 'will-frame-navigate', 'will-redirect']) {
    contents.on(name, (event, ...details: unknown[]) => {
      // the address is the event's own field since Electron 25, the second argument before
      const [old] = details;
      const url = typeof old === 'string' ? old : (event as Preventable & { url?: string }).url;
      if (url === undefined || !isOwn(url)) event.preventDefault();
    });
  }
  contents.on('will-attach-webview', (event) => event.preventDefault());
  contents.setWindowOpenHandler(() => ({ action: 'deny' }));
}

/** Item 15: what opens in the user's browser is one of these, by id. */
export const helpPages: Record<(typeof helpIds)[number], string> = {
  guide: 'https://www.npmjs.com/package/paretune',
  paper: 'https://arxiv.org/abs/2606.16111',
};

/** Item 17: a message counts only from the main frame of a page of ours. */
export function isTrusted(frame: { url: string; parent: unknown } | null): boolean {
  return frame !== null && frame.parent === null && isOwn(frame.url);
}
