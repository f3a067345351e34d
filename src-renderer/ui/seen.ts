/** Tells whether an element is within the screen, or nearly, and when that changes. An attachment. */
export function seen(tell: (visible: boolean) => void): (node: HTMLElement) => () => void {
  return (node) => {
    const watch = new IntersectionObserver((entries) => tell(entries[entries.length - 1].isIntersecting), { rootMargin: '120px' });
    watch.observe(node);
    return () => watch.disconnect();
  };
}
