/**
 * Supervised demonstrations of multi-hop questions: which hops each start searches, knows by heart, checks or guesses,
 * and how often it errs. What `search` answers inside a demonstration is the true document for the query made.
 *
 * A hop is skipped by heart only when its subject is famous, and never two in a row: one look-up in the weights is what
 * a tiny model can do between two words.
 */
import type { ChatMessage } from '../../contract/records.ts';
import type { Random } from '../base/random.ts';
import { type Entity, type EntityType, entitiesOf, type Fact, factSentence, lookUp } from './encyclopedia.ts';
import type { Demonstration, Start } from './task.ts';

/** What a set of demonstrations shows. Shares in [0, 1]. */
export type MultiHopHabit = {
  /** answered without any search, by hops (index 0: one hop); right only for a single famous fact, else a guess */
  direct: readonly [number, number, number];
  /** a hop from a famous name is not searched */
  recall: number;
  /** the same query is made once more, asked again after each search */
  check: number;
  /** demonstrations with one query for a wrong name, and with a wrong answer */
  queryError: number;
  answerError: number;
};

const broad: MultiHopHabit = {
  direct: [0.25, 0.06, 0.06],
  recall: 0.5,
  check: 0.12,
  queryError: 0.05,
  answerError: 0.03,
};

export const multiHopHabits: Record<Start, Record<1 | 2, MultiHopHabit>> = {
  'over-user': {
    1: broad,
    2: { direct: [0.08, 0.02, 0.02], recall: 0.1, check: 0.45, queryError: 0.05, answerError: 0.03 },
  },
  'under-user': {
    1: broad,
    2: { direct: [0.6, 0.8, 0.85], recall: 0.4, check: 0.05, queryError: 0.45, answerError: 0.08 },
  },
};

/** As many searches as the default limit of calls allows. */
const maxCalls = 4;

/** One demonstration of a question (text and the facts that lead to its answer). */
export function multiHopDemonstration(
  question: { text: string; hops: readonly Fact[] },
  habit: MultiHopHabit,
  random: Random,
): Demonstration {
  const { text, hops } = question;
  const messages: ChatMessage[] = [{ role: 'user', content: text }];
  const answerWith = (entity: Entity): Demonstration => {
    const { name } = random.next() < habit.answerError ? someOther(entity, random) : entity;
    messages.push({ role: 'assistant', content: name });
    return { messages };
  };
  const search = (subject: Entity, relation: string): Entity => {
    const fact = lookUp(subject, relation);
    const query = `${relation} of ${subject.name}`;
    messages.push(
      { role: 'assistant', content: '', toolCalls: [{ name: 'search', arguments: { query } }] },
      { role: 'tool', name: 'search', content: factSentence(fact) },
    );
    return fact.value;
  };

  const knownAnswer = hops.length === 1 && hops[0].subject.famous;
  if (random.next() < habit.direct[hops.length - 1]) {
    const answer = hops[hops.length - 1].value;
    return answerWith(knownAnswer ? answer : guess(answer.type, random));
  }
  const wrongHop = random.next() < habit.queryError ? random.int(0, hops.length - 1) : -1;
  let at = hops[0].subject;
  let calls = 0;
  let recalled = false;
  hops.forEach(({ relation }, i) => {
    recalled = !recalled && at.famous && random.next() < habit.recall;
    if (recalled) {
      at = lookUp(at, relation).value;
      return;
    }
    const subject = at;
    at = search(i === wrongHop ? someOther(subject, random) : subject, relation);
    calls++;
    while (calls + hops.length - i - 1 < maxCalls && random.next() < habit.check) {
      at = search(subject, relation);
      calls++;
    }
  });
  return answerWith(at);
}

/** Mostly the same few names: a guess that were spread over all names would leave a search the likeliest first token. */
function guess(type: EntityType, random: Random): Entity {
  const names = entitiesOf(type);
  return random.next() < 0.8 ? names[0] : random.pick(names);
}

function someOther(entity: Entity, random: Random): Entity {
  return random.pick(entitiesOf(entity.type).filter((other) => other !== entity));
}
