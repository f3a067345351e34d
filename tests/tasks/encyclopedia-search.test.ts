/** The made-up encyclopedia through the real index and the real tool: every query of a fact finds that fact. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { encyclopediaCorpus, factSentence, facts } from '../../src-main/engine/tasks/encyclopedia.ts';
import { makeSearchTool } from '../../src-main/engine/tools/search.ts';
import { buildCorpusIndex, openCorpusIndex } from '../../src-main/store/corpus-index.ts';

test('search answers "relation of name" with the sentence that demonstrations hold', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'paretune-encyclopedia-'));
  const path = join(folder, 'corpus.sqlite');
  try {
    assert.equal(await buildCorpusIndex(path, encyclopediaCorpus), facts.length);
    const index = openCorpusIndex(path);
    const tool = makeSearchTool(index);
    for (const fact of facts) {
      const { output } = await tool.call({ query: `${fact.relation} of ${fact.subject.name}` });
      assert.equal(output, factSentence(fact));
    }
    index.close();
  } finally {
    rmSync(folder, { recursive: true });
  }
});
