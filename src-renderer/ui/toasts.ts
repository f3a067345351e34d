/** The messages that are shown for a while: which of them stay when there are many. Pure. */
export type Toast = { id: number; text: string; hint: string; error: boolean; action?: { label: string; run(): void } };

const mostToasts = 4;

/** The newest last; the oldest makes room for it, but not one that can still be undone. */
export function withToast(toasts: readonly Toast[], toast: Toast): Toast[] {
  const crowded = toasts.length < mostToasts ? undefined : toasts.find(({ action }) => action === undefined);
  return [...toasts.filter((other) => other !== crowded), toast];
}
