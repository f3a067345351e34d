/**
 * `npm run icons`: resources/icon.svg drawn by a Chromium as icon.png (window, Linux), icon.ico (Windows) and icon.icns
 * (macOS). Both containers hold PNG files as they are: ICO since Windows Vista, ICNS since macOS 10.7. PARETUNE_CHROMIUM
 * names a browser, else one on the path is taken.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { chromium } from 'playwright-core';
import { chromiumPath } from '../tests/browser/open-window.ts';

/** A picture of so many pixels each way. */
export type Picture = { size: number; png: Uint8Array };

/** The type of a picture in an ICNS file, by its pixels. */
const icnsTypes: Record<number, string> = {
  16: 'icp4',
  32: 'icp5',
  64: 'icp6',
  128: 'ic07',
  256: 'ic08',
  512: 'ic09',
  1024: 'ic10',
};

/** An ICO file: a directory of 16 bytes a picture, then the pictures; 256 pixels are written as 0. */
export function icoOf(pictures: readonly Picture[]): Uint8Array {
  const head = Buffer.alloc(6 + 16 * pictures.length);
  head.writeUInt16LE(1, 2);
  head.writeUInt16LE(pictures.length, 4);
  let offset = head.length;
  for (const [i, { size, png }] of pictures.entries()) {
    const at = 6 + 16 * i;
    head.writeUInt8(size % 256, at);
    head.writeUInt8(size % 256, at + 1);
    head.writeUInt16LE(1, at + 4);
    head.writeUInt16LE(32, at + 6);
    head.writeUInt32LE(png.length, at + 8);
    head.writeUInt32LE(offset, at + 12);
    offset += png.length;
  }
  return Buffer.concat([head, ...pictures.map(({ png }) => png)]);
}

/** An ICNS file: `icns` and its length, then type, length and bytes of each picture. */
export function icnsOf(pictures: readonly Picture[]): Uint8Array {
  const part = (type: string, bytes: Uint8Array) => {
    const head = Buffer.alloc(8);
    head.write(type, 'latin1');
    head.writeUInt32BE(8 + bytes.length, 4);
    return Buffer.concat([head, bytes]);
  };
  return part('icns', Buffer.concat(pictures.map(({ size, png }) => part(icnsTypes[size], png))));
}

async function draw(svg: string, sizes: readonly number[]): Promise<Picture[]> {
  const executablePath = chromiumPath();
  if (executablePath === null) throw new Error('no Chromium: install one or set PARETUNE_CHROMIUM');
  const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] });
  const page = await browser.newPage();
  const pictures: Picture[] = [];
  for (const size of sizes) {
    await page.setViewportSize({ width: size, height: size });
    await page.setContent(
      `<style>body { margin: 0 } svg { display: block; width: 100vw; height: 100vh }</style>${svg}`,
    );
    pictures.push({ size, png: await page.screenshot({ omitBackground: true }) });
  }
  await browser.close();
  return pictures;
}

if (import.meta.main) {
  const folder = resolve(import.meta.dirname, '../resources');
  const pictures = await draw(
    readFileSync(join(folder, 'icon.svg'), 'utf8'),
    [16, 24, 32, 48, 64, 128, 256, 512, 1024],
  );
  const of = (...sizes: number[]) => pictures.filter(({ size }) => sizes.includes(size));
  writeFileSync(join(folder, 'icon.png'), of(512)[0].png);
  writeFileSync(join(folder, 'icon.ico'), icoOf(of(16, 24, 32, 48, 64, 128, 256)));
  writeFileSync(join(folder, 'icon.icns'), icnsOf(of(16, 32, 64, 128, 256, 512, 1024)));
}
