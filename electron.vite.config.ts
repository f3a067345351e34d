/**
 * `npm run build:app`, after `npm run build`: main and preload as one CommonJS file each in dist/app, the window in
 * dist/renderer. The engine is not bundled: it is what `npm run build` makes in dist/, run by the utility process.
 */
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { defineConfig, type UserConfig } from 'electron-vite';

const root = import.meta.dirname;
const rendererConfig = resolve(root, 'src-renderer/vite.config.ts');

// Node 16 is the oldest that ever runs this file: the Electron 22 of tests on machines that cannot download another
function commonJs(name: string) {
  return {
    build: {
      target: 'node16',
      outDir: 'dist/app',
      emptyOutDir: false,
      minify: false,
      externalizeDeps: false,
      rolldownOptions: {
        input: { [name]: resolve(root, `src-main/app/${name}.ts`) },
        output: { format: 'cjs' as const, entryFileNames: '[name].cjs', codeSplitting: false },
      },
    },
  };
}

/** PARETUNE_WINDOW: another folder to build the window from, for tests. */
const page = process.env.PARETUNE_WINDOW;
const renderer = page
  ? { root: page, build: { outDir: resolve(root, 'dist/renderer'), emptyOutDir: true, rolldownOptions: { input: resolve(page, 'index.html') } } }
  : existsSync(rendererConfig)
    ? ((await import('./src-renderer/vite.config.ts')).default as UserConfig['renderer'])
    : undefined;

export default defineConfig({
  main: commonJs('main'),
  preload: commonJs('preload'),
  renderer: renderer && {
    ...renderer,
    root: page ?? resolve(root, 'src-renderer'),
    build: {
      ...renderer.build,
      outDir: resolve(root, 'dist/renderer'),
      // Chromium 108, for the same reason
      target: 'chrome108',
      rolldownOptions: { input: resolve(page ?? resolve(root, 'src-renderer'), 'index.html') },
    },
  },
});
