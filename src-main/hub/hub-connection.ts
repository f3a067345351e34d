/**
 * The one way to a model hub: every request goes through here, to the host that the user named or where it sends us on, with
 * bounds on time, size and redirects. The token goes to the user's host alone. What the answers mean is for the callers.
 *
 * Source: the hub's HTTP API as @huggingface/hub speaks it; error codes in X-Error-Code as in huggingface_hub (Python).
 */
import { z } from 'zod';
import { ParetuneError } from '../contract/errors.ts';
import { HostFailure, refusalOf } from './hub-errors.ts';

/** Where models come from: an address with nothing behind its path, and the secret of the user's account, if any. */
export const hubAccessSchema = z.strictObject({
  endpoint: z.string().max(2000),
  token: z.string().max(2000).nullable(),
});
export type HubAccess = z.infer<typeof hubAccessSchema>;

export type HubLimits = {
  /** how long a host may say nothing */
  patienceMs: number;
  /** the first wait before a broken connection is tried again; each one after it is twice as long */
  retryMs: number;
};
export const defaultLimits: HubLimits = { patienceMs: 30_000, retryMs: 1000 };

/** Bytes of a file from `from` on, which is 0 where the host knows no ranges. */
export type FilePart = { from: number; host: string; bytes: AsyncIterable<Uint8Array> };

export type Hub = {
  /** without a slash at its end */
  endpoint: string;
  host: string;
  limits: HubLimits;
  signal: AbortSignal;
  /** For the hub's client: answers of the endpoint itself, whole. Throws `HostFailure` or what the hub refuses with. */
  fetchApi: typeof fetch;
  /** A file from a byte on. Throws the same, from reading its bytes too. */
  openFile(path: string, from: number, total: number): Promise<FilePart>;
};

const mostRedirects = 5;
const mostApiBytes = 32_000_000;

/** Makes no request yet. Throws `usage` for an address that is none. */
export function openHub(access: HubAccess, signal: AbortSignal, limits: HubLimits = defaultLimits): Hub {
  const endpoint = endpointOf(access);

  /** One request and what it is sent on to. The body is the caller's. */
  const ask = async (address: URL, headers: Headers, leave: boolean): Promise<{ response: Response; at: URL }> => {
    let at = address;
    for (let hops = 0; hops <= mostRedirects; hops++) {
      checkPlace(at, endpoint, leave);
      const sent = new Headers(headers);
      // bytes as they are: a range of compressed bytes would be a range of something else
      sent.set('accept-encoding', 'identity');
      sent.set('user-agent', 'paretune');
      if (access.token !== null && at.origin === endpoint.origin) sent.set('authorization', `Bearer ${access.token}`);
      const response = await inTime(at.host, signal, limits.patienceMs, (stop) =>
        fetch(at, { headers: sent, redirect: 'manual', signal: stop }),
      );
      const next = response.headers.get('location');
      if (response.status < 300 || response.status >= 400 || next === null) {
        if (!response.ok) throw await refusalOf(response, at.host, access.token !== null);
        return { response, at };
      }
      await response.body?.cancel();
      at = locationOf(next, at);
    }
    throw new ParetuneError('network', `${endpoint.host} sends us on more than ${mostRedirects} times.`);
  };

  return {
    endpoint: endpoint.href.replace(/\/+$/, ''),
    host: endpoint.host,
    limits,
    signal,
    async fetchApi(input, init) {
      const address = new URL(input instanceof Request ? input.url : String(input));
      const { response, at } = await ask(address, new Headers(init?.headers), false);
      const body = await wholeOf(bodyOf(response, at.host, signal, limits.patienceMs), mostApiBytes, () => {
        return new ParetuneError('network', `${at.host} answers with more than is read.`);
      });
      const { status, headers } = response;
      return new Response(body, { status, headers });
    },
    async openFile(path, from, total) {
      const headers = new Headers(from > 0 ? { range: `bytes=${from}-${total - 1}` } : {});
      const { response, at } = await ask(new URL(`${endpoint.href.replace(/\/+$/, '')}/${path}`), headers, true);
      return {
        from: startOf(response, from, total, at.host),
        host: at.host,
        bytes: bodyOf(response, at.host, signal, limits.patienceMs),
      };
    },
  };
}

function endpointOf({ endpoint, token }: HubAccess): URL {
  const bad = (why: string) =>
    new ParetuneError('usage', `HF_ENDPOINT is ${JSON.stringify(endpoint)}: ${why}.`, {
      hint: 'It is an address such as https://huggingface.co, which holds where there is no HF_ENDPOINT.',
    });
  if (!URL.canParse(endpoint)) throw bad('that is no address');
  const url = new URL(endpoint);
  if (url.protocol !== 'https:' && url.protocol !== 'http:') throw bad('it must begin with https:// or http://');
  if (url.username || url.password || url.search || url.hash) throw bad('it may hold a host, a port and a path only');
  if (token !== null && url.protocol === 'http:' && !isLoopback(url))
    throw bad('HF_TOKEN would cross the network unencrypted; use https, or take HF_TOKEN away');
  return url;
}

const isLoopback = ({ hostname }: URL) => /^(localhost|127(\.\d+){3}|\[::1\])$/.test(hostname);

/** Never from https to http; only files may come from another host than the user's. */
function checkPlace(at: URL, endpoint: URL, leave: boolean): void {
  const elsewhere = at.origin !== endpoint.origin;
  if (at.protocol !== 'https:' && at.protocol !== endpoint.protocol) {
    throw new ParetuneError('network', `${endpoint.host} sends us on to ${at.origin}, which is not encrypted.`);
  }
  if (elsewhere && !leave) {
    throw new ParetuneError('network', `${endpoint.host} sends us on to ${at.host} for the list of files.`, {
      hint: `If that host is where your models come from, name it: HF_ENDPOINT=${at.origin}`,
    });
  }
}

function locationOf(location: string, at: URL): URL {
  if (URL.canParse(location, at.href)) return new URL(location, at.href);
  throw new ParetuneError('network', `${at.host} sends us on to an address that is none.`);
}

/** Where the answer begins. Throws `network` where it is neither the whole file nor what was asked for. */
function startOf(response: Response, from: number, total: number, host: string): number {
  if (response.status === 200) return 0;
  const range = /^bytes (\d+)-(\d+)\/(\d+|\*)$/.exec(response.headers.get('content-range') ?? '');
  if (response.status === 206 && range && Number(range[1]) === from && [String(total), '*'].includes(range[3])) {
    return from;
  }
  throw new ParetuneError('network', `${host} was asked for bytes ${from} to ${total} and answers with others.`);
}

/** Ends a request that shows no sign of life; what the system says of a connection becomes a `HostFailure`. */
async function inTime<T>(
  host: string,
  signal: AbortSignal,
  patienceMs: number,
  work: (stop: AbortSignal) => Promise<T>,
): Promise<T> {
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), patienceMs);
  try {
    return await work(AbortSignal.any([signal, late.signal]));
  } catch (error) {
    signal.throwIfAborted();
    if (late.signal.aborted) throw new HostFailure(host, `no answer in ${patienceMs / 1000} s`);
    throw HostFailure.of(host, error);
  } finally {
    clearTimeout(timer);
  }
}

/** All bytes in one, at most `most` of them. Throws what `tooMany` says. */
export async function wholeOf(
  bytes: AsyncIterable<Uint8Array>,
  most: number,
  tooMany: () => Error,
): Promise<Buffer<ArrayBuffer>> {
  const pieces: Uint8Array[] = [];
  let size = 0;
  for await (const piece of bytes) {
    size += piece.length;
    if (size > most) throw tooMany();
    pieces.push(piece);
  }
  return Buffer.concat(pieces);
}

async function* bodyOf(
  response: Response,
  host: string,
  signal: AbortSignal,
  patienceMs: number,
): AsyncGenerator<Uint8Array> {
  if (response.body === null) return;
  const reader = response.body.getReader();
  try {
    for (;;) {
      const { value, done } = await inTime(host, signal, patienceMs, (stop) => untilStopped(reader.read(), stop));
      if (done) return;
      yield value;
    }
  } finally {
    // ends the connection where the rest is not wanted
    await reader.cancel().catch(() => {});
  }
}

function untilStopped<T>(work: Promise<T>, stop: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onStop = () => reject(stop.reason);
    if (stop.aborted) onStop();
    stop.addEventListener('abort', onStop, { once: true });
    work.then(resolve, reject).finally(() => stop.removeEventListener('abort', onStop));
  });
}
