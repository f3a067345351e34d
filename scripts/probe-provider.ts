/**
 * `npm run probe-provider -- webgpu`: tries every form of node that our graphs are made of alone on a provider, the CPU
 * forbidden, and writes what it has to src-main/engine/runtime/webgpu-forms.ts. Needs a device (see test-webgpu.ts).
 */
import { writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { hostIndices } from '../src-main/engine/graph/host-indices.ts';
import { formOf, oneNodeGraph } from '../src-main/engine/runtime/capabilities.ts';
import { requireDevice } from '../src-main/engine/runtime/providers.ts';
import { createSession, runtimeVersion } from '../src-main/engine/runtime/session.ts';
import { fallsBack } from '../src-main/engine/runtime/session-errors.ts';
import { ourGraphs } from '../tests/webgpu/our-graphs.ts';

await requireDevice('webgpu');
const forms = new Map<string, boolean>();
for (const graph of ourGraphs().map((graph) => hostIndices(graph).graph)) {
  for (const node of graph.nodes) {
    const form = formOf(node);
    if (forms.has(form)) continue;
    try {
      const session = await createSession(oneNodeGraph(graph, node), { threads: 1, provider: 'webgpu' });
      await session.dispose();
      forms.set(form, true);
    } catch (error) {
      if (!fallsBack(error)) throw error;
      forms.set(form, false);
    }
  }
}
const sorted = [...forms].sort(([a], [b]) => (a < b ? -1 : 1));
const text = `/** Written by \`npm run probe-provider\`: which forms of node WebGPU computes itself. Read by capabilities.ts; do not edit. */
import type { Capabilities } from './capabilities.ts';

export const webgpuForms: Capabilities = {
  runtimeVersion: '${runtimeVersion}',
  forms: {
${sorted.map(([form, has]) => `    '${form}': ${has},`).join('\n')}
  },
};
`;
writeFileSync(resolve(import.meta.dirname, '../src-main/engine/runtime/webgpu-forms.ts'), text);
console.log(`${sorted.length} forms, ${sorted.filter(([, has]) => has).length} on WebGPU`);
