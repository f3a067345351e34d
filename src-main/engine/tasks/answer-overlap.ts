/**
 * Exact match and F1 of short answers, as SQuAD and HotpotQA score them. Exact match decides success; F1 is for reports.
 * Sources: SQuAD evaluate-v1.1 and v2.0, hotpot_evaluate_v1 (worked out in golden/text_metrics.json).
 */

/** string.punctuation of Python: the ASCII characters that are neither letters, digits, space nor control. */
const punctuation = /[!-/:-@[-`{-~]/g;

/** The articles as whole words; JavaScript's \b knows ASCII only, the reference's is Unicode's. */
const articles = /(?<![\p{L}\p{N}_])(?:a|an|the)(?![\p{L}\p{N}_])/gu;

/** Lower case, no ASCII punctuation, no articles, single spaces, in this order. */
export function normalizeAnswer(text: string): string {
  return words(text.toLowerCase().replace(punctuation, '').replace(articles, ' ')).join(' ');
}

const words = (text: string) => text.split(/\s+/).filter((word) => word !== '');

/** Whether any accepted answer equals the prediction after normalization. */
export function exactMatch(prediction: string, answers: readonly string[]): boolean {
  const normalized = normalizeAnswer(prediction);
  return answers.some((answer) => normalizeAnswer(answer) === normalized);
}

export type Overlap = { f1: number; precision: number; recall: number };

const none: Overlap = { f1: 0, precision: 0, recall: 0 };

function overlap(prediction: string[], answer: string[]): Overlap {
  const left = new Map<string, number>();
  for (const word of answer) left.set(word, (left.get(word) ?? 0) + 1);
  let shared = 0;
  for (const word of prediction) {
    const count = left.get(word) ?? 0;
    if (count > 0) shared++;
    left.set(word, count - 1);
  }
  if (shared === 0) return none;
  const precision = shared / prediction.length;
  const recall = shared / answer.length;
  return { f1: (2 * precision * recall) / (precision + recall), precision, recall };
}

/** The best overlap of words over all accepted answers, after normalization. */
function bestOverlap(
  prediction: string,
  answers: readonly string[],
  score: (a: string, b: string) => Overlap,
): Overlap {
  const normalized = normalizeAnswer(prediction);
  let best = none;
  for (const answer of answers) {
    const candidate = score(normalized, normalizeAnswer(answer));
    if (candidate.f1 > best.f1) best = candidate;
  }
  return best;
}

/** F1 of SQuAD 1.1 in [0, 1]: 0 when nothing is shared, also between two empty texts. */
export function f1Squad(prediction: string, answers: readonly string[]): number {
  return bestOverlap(prediction, answers, (a, b) => overlap(words(a), words(b))).f1;
}

/** F1 of SQuAD 2.0 in [0, 1]: an empty answer is right where the question has none. */
export function f1Squad2(prediction: string, answers: readonly string[]): number {
  const both: Overlap = { f1: 1, precision: 1, recall: 1 };
  return bestOverlap(prediction, answers, (a, b) => (a === '' && b === '' ? both : overlap(words(a), words(b)))).f1;
}

/** F1, precision and recall of HotpotQA: yes, no and noanswer count only when both sides say the same. */
export function f1Hotpot(prediction: string, answers: readonly string[]): Overlap {
  const closed = new Set(['yes', 'no', 'noanswer']);
  return bestOverlap(prediction, answers, (a, b) =>
    a !== b && (closed.has(a) || closed.has(b)) ? none : overlap(words(a), words(b)),
  );
}
