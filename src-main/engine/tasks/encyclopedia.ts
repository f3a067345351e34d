/**
 * A made-up world of a few hundred one-word names and six hundred facts, each a sentence and a document of its own
 * ("capital of Velmora is Tarn"). It is always the same world: the starter agents know part of it by heart. Nothing in it
 * is about the real one. Not the questions (multi-hop.ts).
 *
 * A third of the names are famous. Their facts are meant to be known by heart, all others only from the corpus.
 * No relation leads from a type to the same type, so "R of E" has the words of one document only.
 */
import { assert } from '../base/assert.ts';
import { type Random, randomStream } from '../base/random.ts';
import type { CorpusDocument } from './task.ts';

export const entityTypes = ['person', 'city', 'land', 'river', 'guild'] as const;
export type EntityType = (typeof entityTypes)[number];

export type Entity = { name: string; type: EntityType; famous: boolean };

/** relation of subject is value */
export type Fact = { subject: Entity; relation: string; value: Entity };

const worldSeed = 20;

/** How many names each type has; the first third of them are famous. */
const sizes: Record<EntityType, number> = { person: 63, city: 63, land: 24, river: 24, guild: 24 };

/** What can be asked of each type, and the type of the answer. */
export const relations: Record<EntityType, Record<string, EntityType>> = {
  person: { home: 'city', guild: 'guild', origin: 'land' },
  city: { land: 'land', river: 'river', mayor: 'person' },
  land: { capital: 'city', ruler: 'person', border: 'river' },
  river: { source: 'land', mouth: 'city', guardian: 'person' },
  guild: { founder: 'person', seat: 'city', market: 'land' },
};

/** Famous names are asked about more, and so they are also what facts lead to more often than their number says. */
const famousValueShare = 0.5;

const endings: Record<EntityType, string[]> = {
  person: ['a', 'eo', 'iko', 'ua', 'ado'],
  city: ['mor', 'dal', 'ven', 'wick', 'tun'],
  land: ['mora', 'ia', 'avia', 'esta'],
  river: ['wyn', 'ok', 'bru'],
  guild: ['ax', 'um', 'oth'],
};
const starts = ['b', 'd', 'f', 'g', 'h', 'j', 'k', 'l', 'm', 'n', 'p', 'r', 's', 't', 'v', 'w', 'z', 'sh', 'th', 'br'];
const middles = ['al', 'am', 'an', 'ar', 'el', 'em', 'en', 'er', 'il', 'im', 'in', 'ol', 'om', 'on', 'or', 'ul', 'un'];

function nameEntities(type: EntityType, random: Random): Entity[] {
  const names = new Set<string>();
  while (names.size < sizes[type]) {
    const name = random.pick(starts) + random.pick(middles) + random.pick(endings[type]);
    names.add(name[0].toUpperCase() + name.slice(1));
  }
  return [...names].map((name, i) => ({ name, type, famous: i < sizes[type] / 3 }));
}

function tellFacts(entities: Record<EntityType, Entity[]>, random: Random): Fact[] {
  const known = (type: EntityType, famous: boolean) => entities[type].filter((entity) => entity.famous === famous);
  return entityTypes.flatMap((type) =>
    entities[type].flatMap((subject) =>
      Object.entries(relations[type]).map(([relation, to]) => {
        const value = random.pick(known(to, random.next() < famousValueShare));
        return { subject, relation, value };
      }),
    ),
  );
}

const entities = Object.fromEntries(
  entityTypes.map((type) => [type, nameEntities(type, randomStream(worldSeed, 'names', type))]),
) as Record<EntityType, Entity[]>;

/** Every fact of the world, by type, name and relation. */
export const facts: readonly Fact[] = tellFacts(entities, randomStream(worldSeed, 'facts'));

const factOf = new Map(facts.map((fact) => [`${fact.relation} of ${fact.subject.name}`, fact]));

/** The names of a type, famous ones first. */
export function entitiesOf(type: EntityType): readonly Entity[] {
  return entities[type];
}

/** The fact that answers "relation of subject"; the relation must be one of the subject's type. */
export function lookUp(subject: Entity, relation: string): Fact {
  const fact = factOf.get(`${relation} of ${subject.name}`);
  assert(fact, `there is no ${relation} of ${subject.name}`);
  return fact;
}

/** A fact as its document says it, and as `search` gives it back. */
export function factSentence({ subject, relation, value }: Fact): string {
  return `${relation} of ${subject.name} is ${value.name}`;
}

/** One document a fact, titled by its subject. */
export const encyclopediaCorpus: readonly CorpusDocument[] = facts.map((fact) => ({
  title: fact.subject.name,
  text: factSentence(fact),
}));

/** Every word that questions, queries, sentences and answers are made of: one token each (with its leading space). */
export const encyclopediaWords: readonly string[] = [
  'of',
  'is',
  '?',
  ...new Set(entityTypes.flatMap((type) => Object.keys(relations[type]))),
  ...entityTypes.flatMap((type) => entities[type].map((entity) => entity.name)),
];
