/**
 * Full-text search over trajectories: one entry a trajectory with its prompt, answer, tool arguments and outputs. The
 * index keeps no second copy of the text (contentless) and no positions: it answers which trajectories hold all words.
 */
import type { Migration } from '../migrate.ts';
import { decodeText } from '../encoding.ts';
import { searchText } from '../search-text.ts';

export const searchMigration: Migration = {
  version: 2,
  name: 'search',
  up(db) {
    db.exec(`
      CREATE VIRTUAL TABLE trajectory_search USING fts5 (
        text, content = '', contentless_delete = 1, detail = none, tokenize = "unicode61 remove_diacritics 2"
      );
    `);
    type Row = { key: number; prompt: string | Buffer; answer: string | Buffer };
    const page = db.prepare<[number], Row>(`
      SELECT trajectory_key AS key, prompt, answer
      FROM trajectories JOIN groups USING (group_key) JOIN problems USING (problem_key)
      WHERE trajectory_key > ? ORDER BY trajectory_key LIMIT 1000
    `);
    const calls = db.prepare<[number], { arguments: string; output: string | Buffer }>(
      'SELECT arguments, output FROM tool_calls WHERE trajectory_key = ? ORDER BY position',
    );
    const insert = db.prepare('INSERT INTO trajectory_search (rowid, text) VALUES (?, ?)');
    let rows = page.all(-1);
    while (rows.length > 0) {
      for (const { key, prompt, answer } of rows) {
        const texts = calls.all(key).flatMap((call) => [call.arguments, decodeText(call.output)]);
        insert.run(key, searchText([decodeText(prompt), decodeText(answer), ...texts]));
      }
      rows = page.all(rows[rows.length - 1].key);
    }
  },
};
