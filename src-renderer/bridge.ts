/**
 * The window's one way out: `window.paretune`, put there by the preload (or by the tests' page). Not here: what is asked
 * when, which session.svelte.ts and the views decide.
 */
import type { CallName, CallPayload, CallResult, ErrorRecord, WindowApi } from '../src-main/contract/window-api.ts';
import { words } from './words.ts';

declare global {
  interface Window {
    paretune: WindowApi;
  }
}

/** Asks; rejects with an ErrorRecord. */
export function call<N extends CallName>(name: N, payload: CallPayload<N>): Promise<CallResult<N>> {
  return window.paretune.call(name, payload);
}

/** Whatever was thrown, as what a person is told: the record of a failed call, or a fault of the window itself. */
export function asErrorRecord(error: unknown): ErrorRecord {
  if (typeof error === 'object' && error !== null && 'code' in error && 'message' in error) {
    const { code, message } = error as ErrorRecord;
    return { code, message: String(message), hint: 'hint' in error ? String(error.hint) : '' };
  }
  return { code: 'internal', message: error instanceof Error ? error.message : String(error), hint: words.errors.fault };
}
