/**
 * Builds a database as version 1 of the schema left it: the first migration, then rows spelled out byte by byte, without
 * the writers of today. The test beside it pins the hash of that schema, so the first migration cannot be edited unseen.
 */
import Database from 'better-sqlite3';
import { applicationId } from '../../src-main/store/database.ts';
import { runsMigration } from '../../src-main/store/migrations/0001-runs.ts';
import { facts, started } from './samples.ts';

/** Writes the file; it holds run `old` with one step, one group, two trajectories and one tool call. */
export function buildVersion1(path: string): void {
  const db = new Database(path);
  db.pragma('journal_mode = WAL');
  runsMigration.up(db);
  db.pragma(`application_id = ${applicationId}`);
  db.pragma('user_version = 1');
  db.prepare("INSERT INTO runs VALUES (1, 'old', ?, ?, 'finished', '', 1700000000000, 1700000001000)").run(
    JSON.stringify(started('old').config),
    JSON.stringify(facts),
  );
  db.prepare("INSERT INTO problems VALUES (1, 1, x'00ff', 'p1', 'arithmetic', 'What is two plus two?', ?)").run(
    '{"id":"p1","task":"arithmetic","split":"train","messages":[{"role":"user","content":"What is two plus two?"}],' +
      '"tools":["calculator"],"answers":["4"],"grader":{"kind":"math"},"tags":[],"unseen":true}',
  );
  db.exec(`
    INSERT INTO attempts VALUES (1, 0, 0, 1700000000000);
    INSERT INTO events VALUES (1, 1, 0, 'started', 0, 1700000000000, NULL, NULL),
      (2, 1, 0, 'step', 1, 1700000000500, NULL, NULL);
    INSERT INTO steps VALUES (2, '{}');
    INSERT INTO groups VALUES (1, 2, 1);
    INSERT INTO trajectories VALUES
      (1, 1, 1, 2, 0, 1, 1, char(10) || 'calculator' || char(10), 1.0, 0.5, 1, 'answer', 0, 'four it is', x'040000003F0000803F0000003F', x'000002010205',
        x'0102AC020405', x'04000080BF000000C0000040C0'),
      (2, 1, 1, 2, 1, NULL, 0, '', 0.0, -0.5, 2, 'time-limit', 0, '', x'04000000BF0000000000000000', x'000002010203',
        x'010207', x'04000080BF');
    INSERT INTO tool_calls VALUES (1, 0, 'calculator', '{"expression":"2+2"}', 'result 4', 'ok', 1.0, 0.25, 3);
  `);
  db.close();
}
