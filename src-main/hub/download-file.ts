/**
 * One file of a hub on this disk: fetched from where an earlier try ended, checked against the hash that the hub's list
 * gives, and only then under its name. Its part is named by that hash, so it can belong to no other content.
 */
import { createHash, type Hash } from 'node:crypto';
import {
  closeSync,
  existsSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { ParetuneError } from '../contract/errors.ts';
import { explainDiskFailures, flushFolder, renamePatiently } from '../engine/base/atomic-file.ts';
import { readRange } from '../engine/weights/file-ranges.ts';
import type { Hub } from './hub-connection.ts';
import { explainHostFailure, HostFailure } from './hub-errors.ts';
import type { HubFile, HubPlan } from './hub-plan.ts';

/** How often a connection may break in a row, with nothing fetched between. */
const mostFailures = 5;
const pieceBytes = 4 * 2 ** 20;

/** Told about every piece: bytes that came over the network, or were found on the disk (negative where they were no good). */
export type Fetched = (bytes: number, from: 'disk' | 'network', host: string) => Promise<void>;

const partOf = (folder: string, { hash }: HubFile) => join(folder, `.${hash.value.slice(0, 32)}.part`);

/** Bytes of a file that an earlier try left in the folder. */
export function bytesOnDisk(folder: string, file: HubFile): number {
  const sizes = [join(folder, file.name), partOf(folder, file)].map(
    (path) => statSync(path, { throwIfNoEntry: false })?.size ?? 0,
  );
  return Math.min(file.bytes, Math.max(...sizes));
}

/**
 * Puts the file into the folder, whole. Throws `network` (what was fetched stays for the next try), `bad-file` (another hash
 * than the hub's list says), `disk`, and the signal's reason.
 */
export async function downloadFile(
  hub: Hub,
  { repo, commit }: Pick<HubPlan, 'repo' | 'commit'>,
  file: HubFile,
  folder: string,
  fetched: Fetched,
): Promise<void> {
  const path = join(folder, file.name);
  if (existsSync(path) && (await hasHash(path, file, fetched))) return;
  const address = `${repo}/resolve/${commit}/${file.path.split('/').map(encodeURIComponent).join('/')}`;
  const part = partOf(folder, file);
  // bytes of an earlier try that turn out wrong are fetched once more, all of them
  for (const isLast of [!existsSync(part), true]) {
    if (await fetchPart(hub, address, file, part, fetched)) break;
    rmSync(part, { force: true });
    if (isLast) throw wrongHash(hub, file);
    await fetched(-file.bytes, 'disk', hub.host);
  }
  explainDiskFailures(path, () => renamePatiently(part, path));
  flushFolder(folder);
}

/** Appends until the part has all its bytes; whether their hash is right. */
async function fetchPart(hub: Hub, address: string, file: HubFile, part: string, fetched: Fetched): Promise<boolean> {
  const handle = explainDiskFailures(part, () => openSync(part, 'a+'));
  try {
    let done = fstatSync(handle).size;
    if (done > file.bytes) done = truncate(handle, part);
    let hash = await hashOfBegun(handle, part, done, file, fetched, hub.host);
    for (let failures = 0; done < file.bytes; ) {
      try {
        const { from, host, bytes } = await hub.openFile(address, done, file.bytes);
        if (from !== done) {
          await fetched(-done, 'disk', host);
          done = truncate(handle, part);
          hash = newHash(file);
        }
        for await (const piece of bytes) {
          if (done + piece.length > file.bytes) throw tooLong(host, file);
          explainDiskFailures(part, () => writeAll(handle, piece));
          hash.update(piece);
          done += piece.length;
          failures = 0;
          await fetched(piece.length, 'network', host);
        }
        if (done < file.bytes) throw new HostFailure(host, 'the connection ended early');
      } catch (error) {
        if (!(error instanceof HostFailure)) throw error;
        if (++failures > mostFailures) throw explainHostFailure(error);
        await setTimeout(hub.limits.retryMs * 2 ** (failures - 1), undefined, { signal: hub.signal });
      }
    }
    explainDiskFailures(part, () => fsyncSync(handle));
    return hash.digest('hex') === file.hash.value;
  } finally {
    closeSync(handle);
  }
}

function writeAll(handle: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(handle, bytes, at);
}

function truncate(handle: number, part: string): 0 {
  explainDiskFailures(part, () => ftruncateSync(handle, 0));
  return 0;
}

/** Git hashes a blob with its length before it. */
function newHash({ hash, bytes }: HubFile): Hash {
  return hash.kind === 'sha256' ? createHash('sha256') : createHash('sha1').update(`blob ${bytes}\0`);
}

async function hashOfBegun(
  handle: number,
  path: string,
  size: number,
  file: HubFile,
  fetched: Fetched,
  host: string,
): Promise<Hash> {
  const hash = newHash(file);
  for (let at = 0; at < size; at += pieceBytes) {
    const piece = readRange(handle, path, at, Math.min(size, at + pieceBytes));
    hash.update(piece);
    await fetched(piece.length, 'disk', host);
  }
  return hash;
}

/** Whether the file under its name is the one of the list. It is removed where it is not. */
async function hasHash(path: string, file: HubFile, fetched: Fetched): Promise<boolean> {
  const { size } = statSync(path);
  if (size === file.bytes) {
    const handle = openSync(path, 'r');
    try {
      const hash = await hashOfBegun(handle, path, size, file, fetched, '');
      if (hash.digest('hex') === file.hash.value) return true;
    } finally {
      closeSync(handle);
    }
    await fetched(-size, 'disk', '');
  }
  rmSync(path, { force: true });
  return false;
}

function tooLong(host: string, { name, bytes }: HubFile): ParetuneError {
  return new ParetuneError('bad-file', `${host} sends more than the ${bytes} bytes that ${name} has.`);
}

function wrongHash({ host }: Hub, { name, hash }: HubFile): ParetuneError {
  return new ParetuneError('bad-file', `${name} is not what ${host} says: its hash is not ${hash.value}.`, {
    hint: 'It was removed. The same command fetches it once more; if that fails too, do not trust this host.',
  });
}
