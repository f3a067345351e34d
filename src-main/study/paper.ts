/**
 * What the paper (arXiv 2606.16111) prints of its main comparison, to be seen beside ours in shape only: other models, other
 * tasks, other sizes. EM in percent and calls of Qwen2.5-Math-1.5B with a Python interpreter. TIR is the model before
 * reinforcement, ToRL is GRPO on success.
 */
export type PaperRow = { method: string; ours: string; em: number; calls: number };

/** Benchmark -> rows; `ours` is the name of the same method here. */
export const paperTable: Record<string, PaperRow[]> = {
  MATH500: rows([73.8, 1.3], [77.8, 2.1], [74.0, 1.3], [71.2, 2.0], [80.0, 0.9]),
  AIME24: rows([13.3, 1.1], [23.3, 2.2], [20.0, 1.1], [16.7, 1.8], [30.0, 0.8]),
  Olympiad: rows([41.3, 1.5], [44.0, 2.7], [42.1, 1.2], [41.2, 2.0], [48.1, 0.8]),
  AMC23: rows([55.0, 2.0], [67.5, 2.5], [62.5, 1.1], [62.5, 2.1], [70.0, 0.8]),
};

function rows(...numbers: [em: number, calls: number][]): PaperRow[] {
  const methods = [
    ['TIR', 'start'],
    ['ToRL-GRPO', 'grpo'],
    ['OTC-GRPO', 'otc'],
    ['MO-GRPO', 'mo-grpo'],
    ['ParetoPO', 'paretopo-printed'],
  ];
  return methods.map(([method, ours], i) => ({ method, ours, em: numbers[i][0], calls: numbers[i][1] }));
}
