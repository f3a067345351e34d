/**
 * Built-in task: questions of one to three hops over the made-up encyclopedia, with the tool `search`, e.g.
 * "river of capital of origin of Brelano ?". One search answers one hop, and what to look for next is known only from the
 * last result, unless it is known by heart. Answers are bare names.
 *
 * A chain names no relation twice (the next step is always clear) and does not come back by definition (the land of a
 * capital, the home of a mayor).
 */
import type { Problem, Split } from '../../contract/records.ts';
import { randomStream } from '../base/random.ts';
import {
  type Entity,
  encyclopediaCorpus,
  entitiesOf,
  entityTypes,
  type Fact,
  lookUp,
  relations,
} from './encyclopedia.ts';
import { multiHopDemonstration, multiHopHabits } from './multi-hop-demonstrations.ts';
import { drawDistinct, permutation, type SplitParts, splitOf } from './splits.ts';
import type { TaskSource } from './task.ts';

const name = 'multi-hop';
const parts: SplitParts = [7, 1, 2];

/** Shares of questions of one, two and three hops, and of those that start from a famous name. */
const hopShares = [0.3, 0.4, 0.3];
const famousShare = 0.5;

const comesBack = new Set(['capital land', 'mayor home']);

/** A question: the facts that lead from its subject to its answer. */
export type Question = { text: string; hops: Fact[] };

function questionsFrom(subject: Entity, hops: Fact[] = []): Question[] {
  const at = hops.at(-1)?.value ?? subject;
  const last = hops.at(-1)?.relation;
  return Object.keys(relations[at.type])
    .filter((relation) => !comesBack.has(`${last} ${relation}`) && !hops.some((hop) => hop.relation === relation))
    .flatMap((relation) => {
      const chain = [...hops, lookUp(at, relation)];
      const path = chain.map((hop) => hop.relation).reverse();
      const question = { text: `${path.join(' of ')} of ${subject.name} ?`, hops: chain };
      return chain.length < 3 ? [question, ...questionsFrom(subject, chain)] : [question];
    });
}

/** Known by heart: belongs to every split. */
const isFamousFact = ({ hops }: Question) => hops.length === 1 && hops[0].subject.famous;

/** All questions by number of hops and by whether they start from a famous name. */
const pools = (() => {
  const all = entityTypes.flatMap((type) => entitiesOf(type).flatMap((subject) => questionsFrom(subject)));
  return [1, 2, 3].flatMap((hops) =>
    [true, false].map((famous) => ({
      weight: hopShares[hops - 1] * (famous ? famousShare : 1 - famousShare),
      questions: all.filter((question) => question.hops.length === hops && question.hops[0].subject.famous === famous),
    })),
  );
})();

const belongsTo = (question: Question, split: Split) =>
  isFamousFact(question) || splitOf(question.text, parts) === split;

function toProblem(question: Question, split: Split): Problem {
  const { text, hops } = question;
  return {
    id: text,
    task: name,
    split,
    messages: [{ role: 'user', content: text }],
    tools: ['search'],
    answers: [hops[hops.length - 1].value.name],
    grader: { kind: 'exact' },
    tags: [`${hops.length}-hop`, hops[0].subject.famous ? 'famous' : 'obscure'],
    // demonstrations are drawn from all of train, so any train question may have been one
    unseen: split !== 'train' && !isFamousFact(question),
  };
}

/** The task. About 7,000 questions in all, a fifth of them in the report split. */
export function multiHopTask(): TaskSource {
  return {
    name,
    tools: ['search'],
    corpus: [...encyclopediaCorpus],
    problems(split, count, seed) {
      const sources = pools.map(({ weight, questions }, i) => ({
        weight,
        items: inOrder(questions, permutation(questions.length, randomStream(seed, name, split, i)), split),
      }));
      return drawDistinct(sources, count, randomStream(seed, name, split)).map((question) =>
        toProblem(question, split),
      );
    },
    demonstrations(count, seed, { start, phase }) {
      const random = randomStream(seed, name, 'demonstrations', start, phase);
      const habit = multiHopHabits[start][phase];
      const weights = pools.map((pool) => pool.weight);
      return Array.from({ length: count }, () => {
        const { questions } = pools[random.weighted(weights)];
        let question = random.pick(questions);
        while (!belongsTo(question, 'train')) question = random.pick(questions);
        return multiHopDemonstration(question, habit, random);
      });
    },
  };
}

function* inOrder(questions: Question[], order: Iterable<number>, split: Split): Generator<Question, void> {
  for (const i of order) if (belongsTo(questions[i], split)) yield questions[i];
}
