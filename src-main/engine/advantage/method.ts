/**
 * The one signature of all algorithms: reward vectors of the step's groups in, one advantage a trajectory out. A method
 * is a pure function; what it must remember between steps is its `state`, plain JSON that goes into the checkpoint.
 */
import type { Json } from '../../contract/records.ts';

export type ScoredGroup = {
  problemId: string;
  /** [G][M] reward vectors, all maximised; objective 0 is task success */
  rewards: number[][];
  /** [G] 1 for a success, 0 for a failure, null where nothing could be graded: advantage 0, no influence on the others */
  successes: (number | null)[];
  /** [G] what each spent on tools, in units of the reference price: with unit prices the number of calls */
  costs: number[];
  /** the least of it with which the problem was ever solved, this step included; null while it is unsolved */
  fewestCost: number | null;
  /** [G] tokens that the model sampled */
  tokens: number[];
};

export type AdvantageInput = {
  /** 0-based training step and the planned total: stages switch on step / totalSteps */
  step: number;
  totalSteps: number;
  /** [M] objective weights, non-negative, sum 1 */
  weights: number[];
  groups: ScoredGroup[];
};

export type AdvantageOutput<State> = {
  /** [P][G] */
  advantages: number[][];
  /** [P][G] rank of each trajectory's front, 1 is best, 0 for an ungraded one; absent where the method does not rank */
  ranks?: number[][];
  /** what the method reports of itself for the log, e.g. { stage: 1, rPareto: 0.7 } */
  report: Record<string, number>;
  state: State;
};

export type AdvantageMethod<State extends Json = Json> = {
  name: string;
  initialState(): State;
  advantages(input: AdvantageInput, state: State): AdvantageOutput<State>;
};
