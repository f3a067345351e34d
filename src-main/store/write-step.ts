/**
 * Writing what hangs below a step's event: its metrics, its groups and their trajectories, each with its tool calls and
 * its entry in the search index. Runs inside the transaction of append-event.ts.
 */
import { createHash } from 'node:crypto';
import type { Group, Problem, ScoredTrajectory, ToolCallRecord } from '../contract/records.ts';
import type { RunEvent } from '../contract/run-events.ts';
import { assert } from '../engine/base/assert.ts';
import { exactJson } from '../engine/base/exact-json.ts';
import type { Connection } from './database.ts';
import { encodeFloats, encodeIntegers, encodeSegments, encodeText } from './encoding.ts';
import { searchText } from './search-text.ts';

type StepEvent = Extract<RunEvent, { kind: 'step' }>;

/** Prepares the statements once; the function writes one step of the run under the event's key. */
export function stepWriter(db: Connection): (runKey: number, eventKey: number, event: StepEvent) => void {
  const insertStep = db.prepare('INSERT INTO steps (event_key, metrics) VALUES (?, ?)');
  const findProblem = db.prepare<[number, Buffer], { key: number }>(
    'SELECT problem_key AS key FROM problems WHERE run_key = ? AND hash = ?',
  );
  const insertProblem = db.prepare(
    'INSERT INTO problems (run_key, hash, problem_id, task, prompt, record) VALUES (?, ?, ?, ?, ?, ?)',
  );
  const insertGroup = db.prepare('INSERT INTO groups (event_key, problem_key) VALUES (?, ?)');
  const insertTrajectory = db.prepare(
    `INSERT INTO trajectories (group_key, run_key, event_key, sample, success, calls, tools, cost, advantage, pareto_rank,
       stop_reason, weights_version, answer, scores, segments, tokens, logprobs)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
  );
  const insertCall = db.prepare(
    `INSERT INTO tool_calls (trajectory_key, position, name, arguments, output, status, price, milliseconds, result_start)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
  );
  const insertSearch = db.prepare('INSERT INTO trajectory_search (rowid, text) VALUES (?, ?)');

  function problemKey(runKey: number, problem: Problem, prompt: string): number {
    const record = exactJson(problem);
    const hash = createHash('sha256').update(record).digest();
    const known = findProblem.get(runKey, hash);
    if (known !== undefined) return known.key;
    return Number(
      insertProblem.run(runKey, hash, problem.id, problem.task, encodeText(prompt), record).lastInsertRowid,
    );
  }

  function writeTrajectory(keys: [group: number, run: number, event: number], one: ScoredTrajectory, prompt: string) {
    assert(
      [one.cost, one.advantage, ...one.rewards].every(Number.isFinite),
      `trajectory ${one.problemId}/${one.sample} has a score that is not finite`,
    );
    // biome-ignore format: in the order of the columns
    const key = Number(insertTrajectory.run(...keys, one.sample, one.success === null ? null : Number(one.success),
      one.toolCalls.length, toolNames(one.toolCalls), one.cost, one.advantage, one.paretoRank, one.stopReason, one.weightsVersion,
      encodeText(one.answer), encodeFloats([one.advantage, ...one.rewards]), encodeSegments(one.segments),
      encodeIntegers(one.tokens), encodeFloats(one.sampledLogprobs)).lastInsertRowid);
    const texts = [prompt, one.answer];
    one.toolCalls.forEach((call, position) => {
      const args = exactJson(call.arguments);
      texts.push(args, call.output);
      // biome-ignore format: in the order of the columns
      insertCall.run(key, position, encodeText(call.name), args, encodeText(call.output), call.status, call.price,
        call.milliseconds, call.resultStart);
    });
    insertSearch.run(key, searchText(texts));
  }

  function writeGroup(runKey: number, eventKey: number, { problem, trajectories }: Group): void {
    const prompt = problem.messages.findLast((message) => message.role === 'user')?.content ?? '';
    const groupKey = Number(insertGroup.run(eventKey, problemKey(runKey, problem, prompt)).lastInsertRowid);
    for (const one of trajectories) {
      assert(one.problemId === problem.id, `a trajectory of ${one.problemId} in the group of ${problem.id}`);
      writeTrajectory([groupKey, runKey, eventKey], one, prompt);
    }
  }

  return (runKey, eventKey, event) => {
    insertStep.run(eventKey, exactJson(event.metrics));
    for (const group of event.groups) writeGroup(runKey, eventKey, group);
  };
}

/** The column `tools`: every name once, each between line feeds, so that a name can be looked for as a whole. */
function toolNames(calls: readonly ToolCallRecord[]): string {
  return calls.length === 0 ? '' : `\n${[...new Set(calls.map(({ name }) => name))].join('\n')}\n`;
}
