/** `doctor`: whether this machine can do what Paretune needs, one line a check. A check never throws: it says what it saw. */
import { existsSync } from 'node:fs';
import { mkdir, rm, statfs, writeFile } from 'node:fs/promises';
import { availableParallelism, freemem, totalmem } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { providerNames } from '../../contract/providers.ts';
import { toErrorRecord } from '../../contract/errors.ts';
import { defineCommand } from '../command.ts';
import { modelFolderOf, starterNames } from '../../engine/run/agent.ts';

/** `warning`: it works, but not well. */
export type Check = { name: string; state: 'ok' | 'warning' | 'failed'; message: string; hint: string };

type Outcome = Partial<Omit<Check, 'name'>> & { message: string };

const gigabyte = 1e9;

/** In the order in which they are shown. */
const checks: Record<string, (dataFolder: string) => Promise<Outcome>> = {
  async Node() {
    const [major, minor] = process.versions.node.split('.').map(Number);
    const message = `${process.versions.node} on ${process.platform} ${process.arch}`;
    if (major > 22 || (major === 22 && minor >= 18)) return { message };
    return { message, state: 'failed', hint: 'Paretune needs Node 22.18 or newer.' };
  },
  async 'ONNX Runtime'() {
    const { addsTwoNumbers, runtimeVersion } = await import('../../engine/runtime/session.ts');
    if (await addsTwoNumbers('cpu')) return { message: `${runtimeVersion}, CPU` };
    return { message: `${runtimeVersion} adds wrongly on the CPU`, state: 'failed' };
  },
  async GPU() {
    const { requireDevice, needsOf } = await import('../../engine/runtime/providers.ts');
    const { builtInProviders } = await import('../../engine/runtime/session.ts');
    const { numericsReport, describeReport } = await import('../../engine/run/numerics-gate.ts');
    const { openAgent } = await import('../../engine/run/agent.ts');
    const found: GpuFinding[] = [];
    for (const name of providerNames.filter((name) => name !== 'cpu' && builtInProviders().includes(name))) {
      try {
        await requireDevice(name);
        const report = await numericsReport(openAgent('starter:over-user').newPolicy(null, 0), name, 1);
        const agrees = report.fallbacks.length === 0 ? 'agrees' : 'slow';
        found.push({ name, state: report.ok ? agrees : 'differs', message: describeReport(report), needs: '' });
      } catch (error) {
        found.push({ name, state: 'absent', message: toErrorRecord(error).message, needs: needsOf(name) });
      }
    }
    return gpuOutcome(found);
  },
  async 'Graphics cards'() {
    const { graphics } = await import('systeminformation');
    return { message: cardsFound((await graphics()).controllers) };
  },
  async 'Data folder'(dataFolder) {
    await mkdir(dataFolder, { recursive: true });
    const probe = join(dataFolder, `.doctor-${process.pid}`);
    await writeFile(probe, 'x');
    await rm(probe);
    const { bavail, bsize } = await statfs(dataFolder);
    const free = bavail * bsize;
    const message = `${dataFolder}, ${(free / gigabyte).toFixed(1)} GB free`;
    if (free > 2 * gigabyte) return { message };
    return { message, state: 'warning', hint: 'Checkpoints and exports of a larger model will not fit.' };
  },
  async Database(dataFolder) {
    const { openDatabase } = await import('../../store/database.ts');
    const path = join(dataFolder, `.doctor-${process.pid}.sqlite`);
    try {
      const database = openDatabase(path, 'write');
      const version = String(database.prepare('SELECT sqlite_version() AS v').pluck().get());
      database.close();
      return { message: `SQLite ${version}` };
    } finally {
      for (const ending of ['', '-wal', '-shm']) await rm(path + ending, { force: true });
    }
  },
  async Memory() {
    const message = `${(freemem() / gigabyte).toFixed(1)} of ${(totalmem() / gigabyte).toFixed(1)} GB free, ${availableParallelism()} cores`;
    if (freemem() > gigabyte) return { message };
    return { message, state: 'warning', hint: 'The starter agents need about 1 GB, a real model several.' };
  },
  async Tools() {
    const { checkTools, closeTools, makeTools } = await import('../../engine/tools/registry.ts');
    const tools = makeTools(['calculator', 'python']);
    try {
      const health = [...(await checkTools(tools))];
      const broken = health.filter(([, { ok }]) => !ok);
      const message = health.map(([name, { ok, message }]) => `${name} ${ok ? 'ok' : message}`).join(', ');
      return broken.length === 0 ? { message } : { message, state: 'failed', hint: 'paretune tools check says more.' };
    } finally {
      await closeTools(tools);
    }
  },
  async 'Starter agents'() {
    const missing = starterNames.filter((name) => !existsSync(join(modelFolderOf(`starter:${name}`), 'config.json')));
    if (missing.length === 0) return { message: starterNames.join(', ') };
    return { message: `missing: ${missing.join(', ')}`, state: 'failed', hint: 'npm run starter builds them.' };
  },
};

/** A provider for GPUs that ONNX Runtime was built with: it computes what the CPU does (`slow`: with its help), something else, or not at all. */
export type GpuFinding = {
  name: string;
  state: 'agrees' | 'slow' | 'differs' | 'absent';
  message: string;
  needs: string;
};

/** What the system says of a graphics card; MiB, null where it does not know or the memory is the main one. */
export type Card = { model: string; vendor: string; vram: number | null; vramDynamic: boolean; driverVersion?: string };

/** The cards with their memory, or that there are none: what each can do is the provider's word, not the system's. */
export function cardsFound(cards: readonly Card[]): string {
  const described = cards.map(({ model, vendor, vram, vramDynamic, driverVersion }) => {
    const memory =
      vram && !vramDynamic ? `${((vram * 2 ** 20) / gigabyte).toFixed(1)} GB` : 'memory of its own unknown';
    const driver = driverVersion ? [`driver ${driverVersion}`] : [];
    return [model || vendor || 'unnamed', memory, ...driver].join(', ');
  });
  return described.join('; ') || 'the system names none';
}

/** `ok` only where a GPU can be used; without one the CPU does all, and what is missing is said. */
export function gpuOutcome(found: readonly GpuFinding[]): Outcome {
  const usable = found.filter(({ state }) => state === 'agrees');
  const message = found.map((finding) => finding.message).join('; ');
  if (usable.length > 0) return { message };
  if (found.some(({ state }) => state === 'slow')) {
    return { message, state: 'warning', hint: 'Runs on such a GPU wait for the CPU again and again.' };
  }
  const cpu = 'Runs use the CPU; nothing else is missing.';
  if (found.length === 0) {
    const systems = 'There is one for Windows, macOS on arm64 and Linux on x64.';
    return { message: 'this ONNX Runtime has no provider for a GPU', state: 'warning', hint: `${cpu} ${systems}` };
  }
  const needs = [...new Set(found.map((finding) => finding.needs).filter((text) => text !== ''))].join(' ');
  return { message: `No GPU can be used. ${message}.`, state: 'warning', hint: `${cpu} ${needs}`.trim() };
}

export const command = defineCommand({
  payload: z.strictObject({}),
  async run(_, { dataFolder, progress }): Promise<{ ok: boolean; checks: Check[] }> {
    const results: Check[] = [];
    const names = Object.keys(checks);
    for (const name of names) {
      progress({ label: 'checking', done: results.length, total: names.length, note: name });
      results.push({ name, state: 'ok', hint: '', ...(await outcome(checks[name], dataFolder)) });
    }
    return { ok: results.every(({ state }) => state !== 'failed'), checks: results };
  },
});

async function outcome(check: (dataFolder: string) => Promise<Outcome>, dataFolder: string): Promise<Outcome> {
  try {
    return await check(dataFolder);
  } catch (error) {
    const { message, hint } = toErrorRecord(error);
    return { state: 'failed', message, hint };
  }
}
