/**
 * `app://paretune/`: the only place the window loads anything from. Serves the built window from one folder, read-only,
 * with a content security policy on every answer, also on refusals.
 */
import { readFile } from 'node:fs/promises';
import { extname, isAbsolute, join, relative } from 'node:path';

export const scheme = 'app';
export const host = 'paretune';
export const origin = `${scheme}://${host}`;

/** Electron's checklist, item 7; facts/ecosystem.md A1. No inline code or style, nothing remote, no frames, no forms. */
export const contentSecurityPolicy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "font-src 'self'",
  "connect-src 'self'",
  "worker-src 'self'",
  "object-src 'none'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

const types: Record<string, string> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.json': 'application/json',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.woff2': 'font/woff2',
};

/** Whether an address is the app's own: exact scheme and host, no port, no user. */
export function isOwn(address: string): boolean {
  try {
    const { protocol, host: at, username, password } = new URL(address);
    return protocol === `${scheme}:` && at === host && username === '' && password === '';
  } catch {
    return false;
  }
}

/** The file below `folder` that an address names, or null for one that is not ours or leads outside. */
export function fileOf(folder: string, address: string): string | null {
  if (!isOwn(address)) return null;
  let path: string;
  try {
    path = decodeURIComponent(new URL(address).pathname);
  } catch {
    return null;
  }
  if (path.includes('\\') || path.includes('\0')) return null;
  const file = join(folder, path === '/' ? 'index.html' : path);
  const inside = relative(folder, file);
  return inside === '' || inside.startsWith('..') || isAbsolute(inside) ? null : file;
}

/** Answers requests of the protocol from a folder. */
export function serveFolder(folder: string): (request: { url: string; method: string }) => Promise<Response> {
  return async ({ url, method }) => {
    const file = method === 'GET' ? fileOf(folder, url) : null;
    const type = file === null ? undefined : types[extname(file)];
    if (file === null || type === undefined) return answer(404, 'text/plain', 'not found');
    try {
      return answer(200, type, new Uint8Array(await readFile(file)));
    } catch {
      return answer(404, 'text/plain', 'not found');
    }
  };
}

function answer(status: number, type: string, body: string | Uint8Array<ArrayBuffer>): Response {
  return new Response(body, {
    status,
    headers: {
      'content-type': type,
      'content-security-policy': contentSecurityPolicy,
      'x-content-type-options': 'nosniff',
      'cross-origin-opener-policy': 'same-origin',
    },
  });
}
