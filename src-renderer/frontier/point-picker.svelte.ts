/**
 * Pointer and keys on a chart whose points are marks with `data-step`, or part of one outline while there are many: which
 * point is near, which is chosen, and the focus that follows the keys.
 */
import { tick } from 'svelte';
import { nearest, type Place, reach } from './marks.ts';
import { onPointKey } from './point-keys.ts';

export type PickedChart = {
  svg(): SVGSVGElement | undefined;
  /** of all points, in their order, as drawn */
  places(): readonly Place[];
  steps(): readonly number[];
  select(step: number): void;
  open?(step: number): void;
};

export function pointPicker({ svg, places, steps, select, open }: PickedChart) {
  let near = $state<number | null>(null);
  const stepUnder = ({ clientX, clientY }: MouseEvent): number | null => {
    const { left = 0, top = 0 } = svg()?.getBoundingClientRect() ?? {};
    const i = nearest(places(), { x: clientX - left, y: clientY - top }, reach);
    return i === null ? null : steps()[i];
  };
  /** its mark may only be drawn now that it is chosen */
  const focus = async (step: number) => {
    await tick();
    svg()?.querySelector<SVGGElement>(`[data-step="${step}"]`)?.focus();
  };
  return {
    /** the step of the point under the pointer */
    get near() {
      return near;
    },
    onpointermove(event: PointerEvent) {
      near = stepUnder(event);
    },
    onpointerleave() {
      near = null;
    },
    /** A finger presses what no pointer came near before; a mark of its own has its own click. */
    onclick(event: MouseEvent) {
      const step = stepUnder(event);
      if (step !== null && !(event.target as Element).closest('[data-step]')) select(step);
    },
    onkeydown(event: KeyboardEvent, i: number) {
      onPointKey(event, i, { steps: steps(), select, open, focus: (step) => void focus(step) });
    },
  };
}
