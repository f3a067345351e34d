/**
 * Chat templates (Jinja) with a bound on what one rendering may cost, since a template comes with a stranger's model. The
 * language is @huggingface/jinja's, which has no way to the host; here every evaluated node is counted, and the size of
 * every string and list it makes. What conversations look like is chat-format.ts's matter.
 *
 * The bound is on work between two counts, not on the clock: one built-in filter on the largest string it lets through
 * (4 million characters) can still take most of a second.
 */
import * as jinja from '@huggingface/jinja';
import { ParetuneError } from '../../contract/errors.ts';

/** Renders with these variables. Throws `bad-data` where the template itself refuses, `bad-file` where it fails or never ends. */
export type ChatTemplate = (variables: Record<string, unknown>) => string;

const MAX_SOURCE = 1_000_000;
const MAX_OUTPUT = 4_000_000;
const MAX_NODES = 500_000;
/** Summed size of all values that were met: characters, and list items, each of which may cost a scope of its own in a loop. */
const MAX_WORK = 20_000_000;
const WORK_PER_ITEM = 50;
const MAX_RANGE = 10_000;

class Refusal extends Error {}

/** The part of the package used here: its own declarations leave out file extensions, so TypeScript cannot follow them. */
type Value = { value: unknown };
type Scope = { set(name: string, value: unknown): void };
const { Environment, Interpreter, parse, tokenize } = jinja as unknown as {
  Environment: new () => Scope;
  Interpreter: new (globals: Scope) => { run(program: object): Value; evaluate(node: object, scope: Scope): Value };
  parse(tokens: object[]): object;
  tokenize(source: string, options: { lstrip_blocks: boolean; trim_blocks: boolean }): object[];
};

class BoundedInterpreter extends Interpreter {
  nodes = 0;
  work = 0;

  override evaluate(node: object, scope: Scope): Value {
    if (++this.nodes > MAX_NODES) throw new Error(`it takes more than ${MAX_NODES} steps`);
    const result = super.evaluate(node, scope);
    const { value } = result;
    if (typeof value === 'string') {
      if (value.length > MAX_OUTPUT) throw new Error(`it makes more than ${MAX_OUTPUT} characters`);
      this.work += value.length;
    } else if (Array.isArray(value)) this.work += WORK_PER_ITEM * value.length;
    else if (value instanceof Map) this.work += WORK_PER_ITEM * value.size;
    if (this.work > MAX_WORK) throw new Error('it goes through more text and lists than any conversation needs');
    return result;
  }
}

/** Compiles a template. Throws `bad-file` where it is not Jinja or too long. */
export function compileChatTemplate(source: string): ChatTemplate {
  if (source.length > MAX_SOURCE)
    throw badTemplate(`it has ${source.length} characters, at most ${MAX_SOURCE} are read`);
  const program = guarded(() => parse(tokenize(source, { lstrip_blocks: true, trim_blocks: true })));
  return (variables) =>
    guarded(() => {
      const environment = new Environment();
      for (const [name, value] of Object.entries({ ...GLOBALS, ...variables })) environment.set(name, value);
      return new BoundedInterpreter(environment).run(program).value as string;
    });
}

function guarded<T>(action: () => T): T {
  try {
    return action();
  } catch (cause) {
    if (cause instanceof Refusal) {
      throw new ParetuneError('bad-data', `The chat template refuses this conversation: ${cause.message}.`, {
        hint: 'Check roles and order of the messages.',
        cause,
      });
    }
    throw badTemplate((cause as Error).message, cause);
  }
}

function badTemplate(what: string, cause?: unknown): ParetuneError {
  return new ParetuneError('bad-file', `The chat template cannot be used: ${what.slice(0, 300)}.`, {
    hint: 'Put a chat_template.jinja that works into the model folder; it goes before the one in tokenizer_config.json.',
    cause,
  });
}

/** What transformers offers to a template. The clock stands still, so that a prompt is the same tomorrow. */
const GLOBALS: Record<string, unknown> = {
  true: true,
  True: true,
  false: false,
  False: false,
  none: null,
  None: null,
  raise_exception(message: unknown) {
    throw new Refusal(String(message));
  },
  range,
  strftime_now: (format: unknown) => String(format).replace(/%(.)/g, (text, letter) => FROZEN_DATE[letter] ?? text),
};

/** 26 July 2024: the date that Llama 3's own template takes when it has no clock. */
// biome-ignore format: a table
const FROZEN_DATE: Record<string, string> = {
  d: '26', m: '07', Y: '2024', y: '24', b: 'Jul', B: 'July', a: 'Fri', A: 'Friday', H: '00', I: '12', M: '00', S: '00', p: 'AM', j: '208', '%': '%',
};

function range(first: number, second?: number, step = 1): number[] {
  const [start, stop] = second === undefined ? [0, first] : [first, second];
  const length = Math.max(0, Math.ceil((stop - start) / step));
  if (!(length <= MAX_RANGE)) throw new Error(`range() of ${length} numbers; at most ${MAX_RANGE} are made`);
  return Array.from({ length }, (_, i) => start + i * step);
}
