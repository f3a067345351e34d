/** The build of the window alone, as the tests in a browser serve it; the app builds the same folder through electron-vite. */
import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vite';

export default defineConfig({
  root: import.meta.dirname,
  base: './',
  plugins: [svelte({ compilerOptions: { runes: true } })],
  // rewrites what that Chromium does not know, light-dark() above all
  css: { transformer: 'lightningcss' },
  // chrome108 is Electron 22, on which the app is tested where no newer one can be had
  // one file, no preloading script in the page: the content security policy allows scripts of our own only
  build: { outDir: '../dist/renderer', emptyOutDir: true, modulePreload: false, target: 'chrome108' },
});
