/** Electron's security checklist, item by item (facts: ecosystem A1), on recorders in place of Electron. */
import assert from 'node:assert/strict';
import { existsSync, globSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { contentSecurityPolicy, fileOf, isOwn, serveFolder } from '../../src-main/app/app-protocol.ts';
import { menuTemplate, type MenuItem } from '../../src-main/app/menu.ts';
import {
  helpPages,
  isTrusted,
  schemes,
  secureContents,
  secureSession,
  switches,
  webPreferences,
} from '../../src-main/app/security.ts';
import { helpIds, menuCommands } from '../../src-main/contract/window-api.ts';

const root = resolve(import.meta.dirname, '../..');
const appFiles = globSync('src-main/app/*.ts', { cwd: root });
const code = (file: string) =>
  readFileSync(join(root, file), 'utf8')
    .replace(/\/\*[\s\S]*?\*\//g, '')
    .replace(/^\s*\/\/.*$/gm, '');
const main = code('src-main/app/main.ts');
const foreign = [
  'https://example.com/',
  'http://paretune/',
  'app://paretune.evil/',
  'app://evil/paretune/',
  'app://user@paretune/',
  'app://paretune:1/',
  'file:///etc/passwd',
  'javascript:alert(1)',
  'not an address',
];

function securedSession() {
  const seen: Record<string, (...args: never[]) => unknown> = {};
  secureSession({
    setPermissionRequestHandler: (handler) => {
      seen.request = handler;
    },
    setPermissionCheckHandler: (handler) => {
      seen.check = handler;
    },
    setDevicePermissionHandler: (handler) => {
      seen.device = handler;
    },
    setSpellCheckerEnabled: (enable) => assert.equal(enable, false),
    webRequest: {
      onBeforeRequest: (handler) => {
        seen.web = handler;
      },
    },
  });
  return seen as {
    request(contents: unknown, permission: string, answer: (granted: boolean) => void): void;
    check(): boolean;
    device(): boolean;
    web(details: { url: string }, answer: (decision: { cancel: boolean }) => void): void;
  };
}

function securedContents() {
  const listeners = new Map<string, (event: { preventDefault(): void; url?: string }, url?: string) => void>();
  let opening: (() => { action: string }) | undefined;
  secureContents({
    on: (name, listener) => listeners.set(name, listener as never),
    setWindowOpenHandler: (handler) => {
      opening = handler;
    },
  });
  /** whether the event was stopped; `old` as before Electron 25 */
  const stops = (name: string, url: string, old = false) => {
    let stopped = false;
    const event = {
      preventDefault: () => {
        stopped = true;
      },
      ...(old ? {} : { url }),
    };
    listeners.get(name)?.(event, old ? url : undefined);
    return stopped;
  };
  return { listeners, stops, opening: () => opening?.() };
}

test('1: a request goes to the app itself or nowhere, and no host name resolves', () => {
  const { web } = securedSession();
  const cancelled = (url: string) => {
    let cancel: boolean | undefined;
    web({ url }, (decision) => {
      cancel = decision.cancel;
    });
    return cancel;
  };
  assert.equal(cancelled('app://paretune/assets/index.js'), false);
  assert.equal(cancelled('data:image/png;base64,AA'), false);
  for (const url of ['https://example.com/', 'wss://example.com/', 'http://127.0.0.1:80/', 'file:///etc/passwd']) {
    assert.equal(cancelled(url), true, url);
  }
  assert.ok(switches.some(([name, value]) => name === 'host-resolver-rules' && value === 'MAP * ~NOTFOUND'));
});

test('2, 3, 4, 12: pages have no Node, a world of their own, a sandbox and no webview', () => {
  assert.deepEqual(webPreferences, {
    contextIsolation: true,
    nodeIntegration: false,
    nodeIntegrationInWorker: false,
    nodeIntegrationInSubFrames: false,
    sandbox: true,
    webSecurity: true,
    webviewTag: false,
    navigateOnDragDrop: false,
    spellcheck: false,
  });
  // nothing but the preload beside them
  assert.match(main, /webPreferences: \{ \.\.\.webPreferences, preload: [^{}]*\},/);
  assert.ok(
    main.indexOf('app.enableSandbox()') < main.indexOf('whenReady'),
    'the sandbox is on before the app is ready',
  );
});

test('5: every permission and device is denied, asked or checked', () => {
  const { request, check, device } = securedSession();
  for (const permission of ['media', 'geolocation', 'notifications', 'clipboard-read', 'openExternal']) {
    let granted: boolean | undefined;
    request(null, permission, (answer) => {
      granted = answer;
    });
    assert.equal(granted, false, permission);
  }
  assert.equal(check(), false);
  assert.equal(device(), false);
});

test('6, 8, 9, 10, 11: what the checklist bans stands nowhere in the app', () => {
  const banned =
    /webSecurity: false|allowRunningInsecureContent|experimentalFeatures|enableBlinkFeatures|allowpopups|nodeIntegration: true|contextIsolation: false|sandbox: false|executeJavaScript|autoUpdater|crashReporter|enableRemoteModule|createServer|\.listen\(/;
  for (const file of appFiles) assert.doesNotMatch(code(file), banned, file);
  for (const file of globSync('src-renderer/**/*.{svelte,ts,html}', { cwd: root }))
    assert.doesNotMatch(readFileSync(join(root, file), 'utf8'), /<(webview|iframe|object|embed|base)\b/, file);
});

test('the table of docs/security.md has all 20 items, and every test and file that it names is there', () => {
  const text = readFileSync(join(root, 'docs/security.md'), 'utf8');
  const rows = text.split('\n').filter((line) => /^\| \d+ /.test(line));
  assert.deepEqual(
    rows.map((row) => Number.parseInt(row.slice(2), 10)),
    Array.from({ length: 20 }, (_, i) => i + 1),
  );
  const titles = (file: string) =>
    [...readFileSync(join(root, file), 'utf8').matchAll(/^test\(\s*'([^']+)'/gm)].map(([, title]) => title);
  const here = titles('tests/app/security.test.ts');
  const inElectron = titles('tests/app/electron.e2e.ts');
  const names = (titles: string[], name: string) => titles.some((title) => title.startsWith(name));
  for (const [, name] of text.matchAll(/e2e `([^`]+)`/g)) assert.ok(names(inElectron, name), name);
  for (const row of rows) {
    const [, , , where, test] = row.split('|');
    const own = [...test.matchAll(/(?<!e2e )`([\d, ]+:)`/g)].map(([, name]) => name);
    assert.ok(own.length > 0, row);
    for (const name of own) assert.ok(names(here, name), name);
    for (const [, file] of where.matchAll(/`([\w-]+\.ts)`/g))
      assert.ok(appFiles.includes(`src-main/app/${file}`), file);
  }
  for (const [, path] of text.matchAll(/`((?:tests|docs)\/[^`]+)`/g)) assert.ok(existsSync(join(root, path)), path);
});

test('7: the policy allows own scripts and styles only, nothing inline, nothing remote', () => {
  const rules = new Map(
    contentSecurityPolicy.split('; ').map((rule): [string, string] => {
      const [name, ...sources] = rule.split(' ');
      return [name, sources.join(' ')];
    }),
  );
  assert.equal(rules.get('default-src'), "'none'");
  for (const name of ['script-src', 'style-src', 'connect-src', 'font-src', 'worker-src'])
    assert.equal(rules.get(name), "'self'");
  for (const name of ['object-src', 'base-uri', 'form-action', 'frame-ancestors'])
    assert.equal(rules.get(name), "'none'");
  assert.doesNotMatch(contentSecurityPolicy, /unsafe|\*|https?:/);
});

test('13: a page stays where it is, whatever the address looks like', () => {
  const { stops } = securedContents();
  for (const name of ['will-navigate', 'will-frame-navigate', 'will-redirect']) {
    for (const url of foreign) {
      assert.equal(stops(name, url), true, `${name} ${url}`);
      assert.equal(stops(name, url, true), true, `${name} ${url}`);
    }
    assert.equal(stops(name, 'app://paretune/index.html'), false);
  }
});

test('12, 14: no webview is attached and no window opened', () => {
  const { listeners, stops, opening } = securedContents();
  assert.ok(listeners.has('will-attach-webview'));
  assert.equal(stops('will-attach-webview', 'app://paretune/'), true);
  assert.deepEqual(opening(), { action: 'deny' });
  assert.match(main, /app\.on\('web-contents-created', \(_event, contents\) => secureContents\(contents\)\)/);
});

test('15: only compiled-in pages are opened in a browser, by id', () => {
  assert.deepEqual(Object.keys(helpPages).sort(), [...helpIds].sort());
  for (const address of Object.values(helpPages)) assert.equal(new URL(address).protocol, 'https:');
  for (const file of appFiles) {
    for (const [, argument] of code(file).matchAll(/openExternal\(([^)]*)\)/g)) {
      assert.match(argument, /^(address|address: string|helpPages\[id\])$/, `${file}: ${argument}`);
    }
  }
});

test('16: Electron is pinned to one version', () => {
  const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    devDependencies: Record<string, string>;
  };
  assert.match(manifest.devDependencies.electron, /^\d+\.\d+\.\d+$/);
});

test('17: only the main frame of an own page is heard, and only relay.ts listens', () => {
  assert.equal(isTrusted({ url: 'app://paretune/index.html', parent: null }), true);
  assert.equal(isTrusted({ url: 'app://paretune/index.html', parent: {} }), false);
  assert.equal(isTrusted(null), false);
  for (const url of foreign) assert.equal(isTrusted({ url, parent: null }), false, url);
  for (const file of appFiles) {
    if (file.endsWith('relay.ts')) continue;
    assert.doesNotMatch(code(file), /ipcMain\s*\.|\bipc\.handle\(/, file);
  }
});

test('18: files come from the own scheme and one folder only, each with the policy', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'paretune-window-'));
  mkdirSync(join(folder, 'inside'));
  writeFileSync(join(folder, 'inside', 'index.html'), '<title>x</title>');
  writeFileSync(join(folder, 'secret.json'), '{}');
  const inside = join(folder, 'inside');
  for (const address of [
    'app://paretune/../secret.json',
    'app://paretune/%2e%2e/secret.json',
    'app://paretune/..%2fsecret.json',
    'app://paretune/..%5csecret.json',
    'app://paretune/%00',
    'app://paretune/%',
    'app://evil/index.html',
    'file:///etc/passwd',
  ]) {
    const file = fileOf(inside, address);
    assert.ok(file === null || file.startsWith(inside), `${address}: ${file}`);
    assert.notEqual((await serveFolder(inside)({ url: address, method: 'GET' })).status, 200, address);
  }
  const serve = serveFolder(inside);
  const found = await serve({ url: 'app://paretune/', method: 'GET' });
  assert.equal(found.status, 200);
  assert.equal(await found.text(), '<title>x</title>');
  const refused = [
    await serve({ url: 'app://paretune/', method: 'POST' }),
    await serve({ url: 'app://paretune/missing.js', method: 'GET' }),
  ];
  for (const answer of [found, ...refused]) {
    assert.equal(answer.headers.get('content-security-policy'), contentSecurityPolicy);
    assert.equal(answer.headers.get('x-content-type-options'), 'nosniff');
  }
  assert.deepEqual(
    refused.map(({ status }) => status),
    [404, 404],
  );
  assert.deepEqual(schemes, [{ scheme: 'app', privileges: { standard: true, secure: true, supportFetchAPI: true } }]);
  for (const url of foreign) assert.equal(isOwn(url), false, url);
});

test('19: the fuses of a release are all said, and those that let code in are off', () => {
  const builder = readFileSync(join(root, 'electron-builder.yml'), 'utf8');
  for (const [fuse, value] of [
    ['runAsNode', false],
    ['enableNodeOptionsEnvironmentVariable', false],
    ['enableNodeCliInspectArguments', false],
    ['enableEmbeddedAsarIntegrityValidation', true],
    ['onlyLoadAppFromAsar', true],
    ['grantFileProtocolExtraPrivileges', false],
    ['enableCookieEncryption', true],
  ] as const) {
    assert.match(builder, new RegExp(`^ {2}${fuse}: ${value}$`, 'm'), fuse);
  }
});

test('20: the bridge hands out three functions, no event and no Electron', () => {
  const preload = code('src-main/app/preload.ts');
  assert.equal(preload.match(/exposeInMainWorld/g)?.length, 1);
  assert.match(preload, /Object\.freeze\(/);
  assert.doesNotMatch(preload, /listener\([^)]*event/);
  assert.match(preload, /import \{ contextBridge, ipcRenderer, webUtils \} from 'electron'/);
});

test('the menu has every command of the contract, and no key twice', () => {
  for (const platform of ['linux', 'darwin', 'win32']) {
    const told: string[] = [];
    const template = menuTemplate(
      platform,
      true,
      (command) => told.push(command),
      () => {},
    );
    const all: MenuItem[] = [];
    const collect = (items: MenuItem[]) =>
      items.forEach((item) => {
        all.push(item);
        collect(item.submenu ?? []);
      });
    collect(template);
    for (const item of all) item.click?.();
    assert.deepEqual([...told].sort(), [...menuCommands].sort(), platform);
    const keys = all.flatMap(({ accelerator }) => (accelerator === undefined ? [] : [accelerator]));
    assert.equal(new Set(keys).size, keys.length, platform);
    // a letter that the menu took would be missing in every text field
    for (const { accelerator, registerAccelerator } of all) {
      if (accelerator !== undefined && !/\+|^F\d/.test(accelerator))
        assert.equal(registerAccelerator, false, accelerator);
    }
  }
});
