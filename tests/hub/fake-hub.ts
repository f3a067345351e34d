/** A hub on this machine's loopback: the three kinds of requests that an import makes, and whatever a test wants to go wrong. */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export type FakeRepo = {
  files: Record<string, Buffer>;
  card?: object;
  /** how its list names a file, where that is not what it is */
  listed?: Record<string, object>;
};

export type FakeHub = {
  endpoint: string;
  host: string;
  /** every request: its path, its Range and its Authorization */
  asked: { path: string; range: string | undefined; authorization: string | undefined }[];
  /** answers a request in its own way: true where it has */
  intercept: ((path: string, response: ServerResponse, request: IncomingMessage) => boolean) | null;
  close(): Promise<void>;
};

export const commitOf = (repo: string) => createHash('sha1').update(repo).digest('hex');
export const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');
const gitHash = (bytes: Uint8Array) => createHash('sha1').update(`blob ${bytes.length}\0`).update(bytes).digest('hex');

/** Large files have a SHA-256, small ones git's hash, as on a real hub; a list has at most three entries a page. */
export async function startFakeHub(repos: Record<string, FakeRepo>): Promise<FakeHub> {
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? '', 'http://localhost');
    const path = decodeURIComponent(url.pathname);
    const { range, authorization } = request.headers;
    hub.asked.push({ path, range, authorization });
    if (hub.intercept?.(path, response, request)) return;
    const [, repo = '', kind = '', rest = ''] =
      /^\/(?:api\/models\/)?([\w.-]+\/[\w.-]+)\/(revision|tree|resolve)\/(.*)$/.exec(path) ?? [];
    const found = repos[repo];
    if (!found) return refuse(response, 404, 'RepoNotFound');
    const [revision, ...below] = rest.split('/');
    if (![commitOf(repo), 'main', 'v1'].includes(revision)) return refuse(response, 404, 'RevisionNotFound');
    if (kind === 'revision') {
      const info = {
        _id: '1',
        id: repo,
        private: false,
        gated: false,
        downloads: 1,
        likes: 1,
        lastModified: '2026-01-01',
      };
      return answer(response, { ...info, sha: commitOf(repo), cardData: found.card });
    }
    if (kind === 'tree') return list(response, found, below.join('/'), url);
    const bytes = found.files[below.join('/')];
    if (!bytes) return refuse(response, 404, 'EntryNotFound');
    sendBytes(response, bytes, range);
  });

  const list = (response: ServerResponse, { files, listed = {} }: FakeRepo, folder: string, url: URL) => {
    const prefix = folder === '' ? '' : `${folder}/`;
    const all = Object.entries(files)
      .filter(([path]) => path.startsWith(prefix) && !path.slice(prefix.length).includes('/'))
      .map(([path, bytes]) => {
        const lfs = /\.(json|jinja|md)$/.test(path)
          ? {}
          : { lfs: { oid: sha256(bytes), size: bytes.length, pointerSize: 130 } };
        return { type: 'file', path, size: bytes.length, oid: gitHash(bytes), ...lfs, ...listed[path] };
      });
    const from = Number(url.searchParams.get('cursor') ?? 0);
    url.searchParams.set('cursor', String(from + 3));
    const next = `<${hub.endpoint}${url.pathname}${url.search}>; rel="next"`;
    if (from + 3 < all.length) response.setHeader('link', next);
    answer(response, all.slice(from, from + 3));
  };

  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const hub: FakeHub = {
    endpoint: `http://127.0.0.1:${port}`,
    host: `127.0.0.1:${port}`,
    asked: [],
    intercept: null,
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
  return hub;
}

export function answer(response: ServerResponse, value: unknown): void {
  response.setHeader('content-type', 'application/json').end(JSON.stringify(value));
}

export function refuse(
  response: ServerResponse,
  status: number,
  code?: string,
  headers: Record<string, string> = {},
): void {
  if (code) response.setHeader('x-error-code', code);
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end('{"error":"no"}');
}

/** Bytes from where a range says, of which a connection that breaks sends `most`. */
export function sendBytes(response: ServerResponse, bytes: Buffer, range: string | undefined, most?: number): void {
  const from = Number(/^bytes=(\d+)-/.exec(range ?? '')?.[1] ?? 0);
  const part = bytes.subarray(from);
  response.statusCode = range === undefined ? 200 : 206;
  response.setHeader('content-length', part.length);
  if (range !== undefined) response.setHeader('content-range', `bytes ${from}-${bytes.length - 1}/${bytes.length}`);
  if (most === undefined || most >= part.length) response.end(part);
  else response.write(part.subarray(0, most), () => response.destroy());
}
