/** One side of the chat: what was said, and the tool calls of the answer under way. Pure; not here: asking, drawing. */
import type { ChatMessage } from '../../src-main/contract/records.ts';
import type { ChatStep } from '../../src-main/contract/window-records.ts';

export type Side = {
  title: string;
  checkpoint: string;
  messages: ChatMessage[];
  /** calls of the answer under way, in the order in which they were made */
  live: ChatStep[];
  /** the number of the answer under way; null between answers */
  answer: number | null;
  /** what the last answer cost, or why there is none */
  note: string;
  failed: boolean;
};

export function newSide(title: string, checkpoint: string): Side {
  return { title, checkpoint, messages: [], live: [], answer: null, note: '', failed: false };
}

export function asked(side: Side, content: string, answer: number): Side {
  return { ...side, messages: [...side.messages, { role: 'user', content }], live: [], answer, note: '', failed: false };
}

/** A call made, or answered; one of another answer changes nothing. */
export function withStep(side: Side, step: ChatStep): Side {
  if (step.answer !== side.answer) return side;
  const known = side.live.some(({ call }) => call === step.call);
  return { ...side, live: known ? side.live.map((old) => (old.call === step.call ? step : old)) : [...side.live, step] };
}

export function answered(side: Side, messages: ChatMessage[], note: string): Side {
  return { ...side, messages: [...side.messages, ...messages], live: [], answer: null, note };
}

/** No answer came: the message that was asked last leaves the conversation, so that the next one follows an answer. */
export function unanswered(side: Side, note: string): Side {
  return { ...side, messages: side.messages.slice(0, -1), live: [], answer: null, note, failed: true };
}
