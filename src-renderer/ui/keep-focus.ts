/**
 * The focus of the keyboard is never lost: where what had it is gone, hidden or disabled, the nearest place that is left
 * takes it, and gives it back when a button that was only busy can be pressed again. A click on nothing is left alone.
 */

/** What Tab stops at. */
export const focusable = 'button:not(:disabled), input:not(:disabled), select:not(:disabled), textarea:not(:disabled), a[href], [tabindex="0"]';

/** An attachment for the body; `home` is what has the focus where nothing nearer is left. */
export function keepFocus(home: () => HTMLElement | null): (body: HTMLElement) => () => void {
  return () => {
    /** what had the focus, and what it was in */
    let trail: Element[] = [];
    /** the button that is busy, and what has the focus meanwhile */
    let away: { from: HTMLElement; to: HTMLElement } | null = null;
    let scheduled = false;

    const gone = (element: Element) => !element.isConnected || element.matches(':disabled') || !element.checkVisibility();
    function remember(event: FocusEvent): void {
      if (!(event.target instanceof Element) || event.target === document.body) return;
      if (event.target !== away?.to) away = null;
      trail = [];
      for (let at: Element | null = event.target; at !== null; at = at.parentElement) trail.push(at);
    }
    /** what takes the place of the first of the trail */
    function nearest(): HTMLElement | null {
      const last = home();
      // a busy button: what it stands in has the focus until it can be pressed again
      const busy = trail[0].isConnected && trail[0].matches(':disabled');
      const around = trail.slice(1).find((place) => place.matches('[tabindex], dialog'));
      if (busy && around instanceof HTMLElement && around.localName !== 'dialog') return around;
      const from = trail.slice(1);
      for (const place of from) {
        if (!place.isConnected || place === last || place.contains(last)) continue;
        const next = [...place.querySelectorAll<HTMLElement>(focusable)].find((element) => element.checkVisibility());
        if (next) return next;
      }
      const open = document.querySelector<HTMLElement>('dialog[open]');
      return open?.querySelector<HTMLElement>(focusable) ?? last;
    }
    function restore(): void {
      scheduled = false;
      const now = document.activeElement;
      if (away !== null && now === away.to && !gone(away.from)) {
        const { from } = away;
        away = null;
        from.focus();
        return;
      }
      if (trail.length === 0 || !gone(trail[0]) || (now !== null && now !== document.body && now !== trail[0])) return;
      const [from] = trail;
      const to = nearest();
      if (to === null) return;
      away = from.isConnected && from instanceof HTMLElement ? { from, to } : null;
      to.focus({ preventScroll: true });
    }
    const watch = new MutationObserver(() => {
      // cheap: a run that is watched changes the page many times a second
      if (scheduled || trail.length === 0 || (away === null && trail[0].isConnected && !trail[0].matches(':disabled'))) return;
      scheduled = true;
      // after the browser has noticed as well, and after a closed dialog has given the focus back
      requestAnimationFrame(() => setTimeout(restore));
    });
    watch.observe(document.body, { childList: true, subtree: true, attributes: true, attributeFilter: ['disabled', 'hidden', 'open'] });
    document.addEventListener('focusin', remember);
    return () => {
      watch.disconnect();
      document.removeEventListener('focusin', remember);
    };
  };
}
