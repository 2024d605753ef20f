/** Keeps the chosen step within what is seen of the drawing. */
import { useEffect, useRef, type RefObject } from 'react';
import type { Place } from './history';

export type View = Place & { zoom: number };
export type Size = { width: number; height: number };
type Box = Place & Size;

/** What is left free around a step that is brought into view. */
const MARGIN = 12;
/** Milliseconds after which the drawing has taken what changed. */
const TAKEN = 50;

/** How far the drawing has to move for a step to be seen whole; null: it is seen. */
export function shift(step: Box, view: View, seen: Size): Place | null {
  const along = (at: number, long: number, room: number): number => {
    if (at >= 0 && at + long <= room) return 0;
    if (at < 0 || long + 2 * MARGIN > room) return MARGIN - at;
    return room - MARGIN - long - at;
  };
  const x = along(step.x * view.zoom + view.x, step.width * view.zoom, seen.width);
  const y = along(step.y * view.zoom + view.y, step.height * view.zoom, seen.height);
  return x || y ? { x, y } : null;
}

/** What is used of the drawing's library. */
type Flow = {
  getInternalNode: (id: string) => { measured?: Partial<Size> } | undefined;
  getViewport: () => View;
  setViewport: (view: View) => unknown;
  fitView: (options: { maxZoom: number; padding: number }) => unknown;
};

type Given = {
  flow: RefObject<Flow | null>;
  frame: RefObject<HTMLElement | null>;
  chosen: string;
  place: Place | undefined;
  count: number;
  /** Whether somebody moves a step by hand: then nothing else moves. */
  held: RefObject<boolean>;
};

/**
 * Shows the whole drawing when steps come or go, and when what was connected took the chosen step
 * out of sight; a step that is chosen elsewhere is only moved in.
 */
export function useInView({ flow, frame, chosen, place, count, held }: Given): void {
  const before = useRef({ chosen, count: -1 });
  const { x, y } = place ?? { x: 0, y: 0 };
  useEffect(() => {
    const last = before.current;
    before.current = { chosen, count };
    const timer = setTimeout(() => {
      const now = flow.current;
      if (!now || held.current) return;
      const whole = () => void now.fitView({ maxZoom: 1, padding: 0.2 });
      if (last.count !== count) return whole();
      const node = now.getInternalNode(chosen);
      const seen = frame.current;
      if (!node || !seen) return;
      const { width = 0, height = 0 } = node.measured ?? {};
      const view = now.getViewport();
      const away = shift({ x, y, width, height }, view, { width: seen.clientWidth, height: seen.clientHeight });
      if (!away) return;
      if (last.chosen === chosen) return whole();
      void now.setViewport({ ...view, x: view.x + away.x, y: view.y + away.y });
    }, TAKEN);
    return () => clearTimeout(timer);
  }, [flow, frame, held, chosen, count, x, y]);
}
