/**
 * `npm run check:svelte`: types of the window, its .svelte files too, by svelte-check. That needs the compiler's interface
 * for JavaScript, which TypeScript 7 has not: for it alone `typescript` means the package typescript-6. Arguments go on.
 */
import { createRequire, registerHooks } from 'node:module';
import { resolve } from 'node:path';

registerHooks({
  resolve: (name, context, next) => next(name.replace(/^typescript(?=$|\/)/, 'typescript-6'), context),
});
const root = resolve(import.meta.dirname, '..');
const window = ['--workspace', resolve(root, 'src-renderer'), '--tsconfig', './tsconfig.json', '--fail-on-warnings'];
process.argv.splice(2, 0, ...window);
createRequire(import.meta.url)('svelte-check/bin/svelte-check');
