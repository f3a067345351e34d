/**
 * What a task is to the engine: a source of problems in three disjoint splits and, for the built-in ones, of supervised
 * demonstrations from which a starter agent is trained. Not how an answer is judged (grade.ts) and not how a problem
 * becomes tokens (text/).
 */
import type { ChatMessage, Problem, Split } from '../../contract/records.ts';

/** One document of a corpus that the `search` tool looks through. */
export type CorpusDocument = { title: string; text: string };

/** One supervised conversation: loss falls on assistant turns only; tool turns hold what the tool really answers. */
export type Demonstration = { messages: ChatMessage[] };

/** Which starter agent demonstrations are for: one that calls tools too often, or one that hardly calls and fails. */
export type Start = 'over-user' | 'under-user';

/** Phase 1 teaches the skill broadly, phase 2 (short) gives the start its habit. */
export type DemonstrationOptions = { start: Start; phase: 1 | 2 };

export type TaskSource = {
  name: string;
  /** names of the tools that the task brings */
  tools: string[];
  /** what `search` looks through: documents, a file that the caller opens (`openCorpus`), or nothing */
  corpus: CorpusDocument[] | { path: string } | null;
  /** rows of a file that repeat the question of an earlier one, and are left out */
  repeats?: number;
  /**
   * `count` distinct problems of a split, or all there are when it holds fewer. The same arguments give the same
   * problems in the same order; no problem is in two splits, except those marked `unseen: false` in every split
   * (facts that are meant to be known by heart).
   */
  problems(split: Split, count: number, seed: number): Problem[];
  /** `count` demonstrations, drawn with repetition and only from what the train split holds. */
  demonstrations?(count: number, seed: number, options: DemonstrationOptions): Demonstration[];
};
