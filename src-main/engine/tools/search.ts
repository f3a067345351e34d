/**
 * The search tool: the best passages of a corpus for a query, as text. It knows no file and no database: the index is
 * handed in (store/corpus-index.ts opens one), and must answer the same query the same way.
 */
import { checkAnswer } from './health.ts';
import type { Tool } from './tool.ts';

export type Passage = { title: string; text: string };

/** A searchable corpus, best passages first. `search` takes any text: nothing in it is syntax. */
export type CorpusIndex = {
  /** how many passages there are */
  readonly documents: number;
  search(query: string, k: number): Passage[];
};

export type SearchOptions = {
  /** passages returned */
  results?: number;
  /** the longest output, in UTF-16 units, shared by the passages */
  maxCharacters?: number;
};

/** At most `length` characters, cut after a whole word; a first word longer than that is cut inside. */
export function cutAtWord(text: string, length: number): string {
  const whole = text.trim();
  if (whole.length <= length) return whole;
  const space = whole.slice(0, length + 1).search(/\s\S*$/);
  return whole.slice(0, space > 0 ? space : length).replace(/[\s\ud800-\udbff]+$/, '');
}

function format(passages: Passage[], maxCharacters: number): string {
  if (passages.length === 1) return cutAtWord(passages[0].text, maxCharacters);
  const share = Math.floor((maxCharacters - passages.length + 1) / passages.length);
  return passages.map(({ title, text }) => cutAtWord(`${title}: ${text}`, share)).join('\n');
}

/** The search tool; its primary argument is `query`. One result is its bare text, several are lines of "title: text". */
export function makeSearchTool(index: CorpusIndex, options: SearchOptions = {}): Tool {
  const { results = 1, maxCharacters = 400 } = options;
  const tool: Tool = {
    spec: {
      name: 'search',
      description: 'Finds the passage of the corpus that fits a query best.',
      parameters: {
        type: 'object',
        properties: { query: { type: 'string', description: 'what to look for' } },
        required: ['query'],
      },
    },
    primaryArgument: 'query',
    async call({ query }) {
      const start = performance.now();
      const done = (status: 'ok' | 'error', output: string) => ({
        status,
        output,
        milliseconds: performance.now() - start,
      });
      if (typeof query !== 'string') return done('error', 'error: the argument `query` must be a text');
      const passages = index.search(query, results);
      return passages.length === 0 ? done('ok', 'nothing found') : done('ok', format(passages, maxCharacters));
    },
    async check() {
      if (index.documents === 0) return { ok: false, message: 'the corpus is empty', milliseconds: 0 };
      // what is in no corpus finds nothing, and proves that the index answers
      return checkAnswer(tool, { query: 'qzxv7wkjq' }, 'nothing found');
    },
    close: async () => {},
  };
  return tool;
}
