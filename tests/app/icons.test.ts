/** The icon of the app in the three formats that systems ask for, and where it is named. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { icnsOf, icoOf } from '../../scripts/build-icons.ts';

const root = resolve(import.meta.dirname, '../..');
const resource = (name: string) => readFileSync(join(root, 'resources', name));

/** Pixels each way of a square PNG. */
function pixels(png: Buffer): number {
  assert.equal(png.subarray(0, 8).toString('latin1'), '\x89PNG\r\n\x1a\n');
  assert.equal(png.readUInt32BE(16), png.readUInt32BE(20), 'square');
  assert.equal(png[25], 6, 'with transparent corners');
  return png.readUInt32BE(16);
}

/** [pixels as the directory says, picture] */
function readIco(ico: Buffer): [number, Buffer][] {
  assert.deepEqual([ico.readUInt16LE(0), ico.readUInt16LE(2)], [0, 1]);
  return Array.from({ length: ico.readUInt16LE(4) }, (_, i) => {
    const at = 6 + 16 * i;
    const offset = ico.readUInt32LE(at + 12);
    return [ico[at] || 256, ico.subarray(offset, offset + ico.readUInt32LE(at + 8))];
  });
}

function readIcns(icns: Buffer): [string, Buffer][] {
  assert.equal(icns.subarray(0, 4).toString('latin1'), 'icns');
  assert.equal(icns.readUInt32BE(4), icns.length);
  const found: [string, Buffer][] = [];
  for (let at = 8; at < icns.length; at += icns.readUInt32BE(at + 4)) {
    found.push([icns.subarray(at, at + 4).toString('latin1'), icns.subarray(at + 8, at + icns.readUInt32BE(at + 4))]);
  }
  return found;
}

test('the window and Linux have a PNG, Windows an ICO and macOS an ICNS with the sizes that they ask for', () => {
  assert.equal(pixels(resource('icon.png')), 512);
  const ico = readIco(resource('icon.ico'));
  assert.deepEqual(
    ico.map(([size]) => size),
    [16, 24, 32, 48, 64, 128, 256],
  );
  for (const [size, png] of ico) assert.equal(pixels(png), size);
  assert.deepEqual(
    readIcns(resource('icon.icns')).map(([type, png]) => [type, pixels(png)]),
    [
      ['icp4', 16],
      ['icp5', 32],
      ['icp6', 64],
      ['ic07', 128],
      ['ic08', 256],
      ['ic09', 512],
      ['ic10', 1024],
    ],
  );
});

test('the containers give every picture back', () => {
  const pictures = [16, 256].map((size) => ({ size, png: Uint8Array.from({ length: size }, (_, i) => i % 251) }));
  const bytes = (list: [unknown, Buffer][]) => list.map(([, png]) => Uint8Array.from(png));
  assert.deepEqual(
    bytes(readIco(Buffer.from(icoOf(pictures)))),
    pictures.map(({ png }) => png),
  );
  assert.deepEqual(
    bytes(readIcns(Buffer.from(icnsOf(pictures)))),
    pictures.map(({ png }) => png),
  );
});

test('the window and the installers use it', () => {
  const builder = readFileSync(join(root, 'electron-builder.yml'), 'utf8');
  for (const name of ['icon.png', 'icon.ico', 'icon.icns'])
    assert.match(builder, new RegExp(`^ {2}icon: resources/${name.replace('.', '\\.')}$`, 'm'));
  assert.match(readFileSync(join(root, 'src-main/app/main.ts'), 'utf8'), /icon: join\(.*'icon\.png'\)/);
});
