import { BaseEdge, EdgeLabelRenderer, type Edge as FlowEdge, type EdgeProps } from '@xyflow/react';
import css from './Graph.module.css';
import { cornersOf, type Lane } from './layout';

const BEND = 12;

/** An edge that goes around the steps between its ends, along the corners of its lane. */
export function RoutedEdge({
  id,
  sourceX,
  sourceY,
  targetX,
  targetY,
  data,
  markerEnd,
  label,
}: EdgeProps<FlowEdge<{ lane: Lane }>>) {
  const lane = data?.lane ?? [];
  const points = cornersOf({ x: sourceX, y: sourceY }, { x: targetX, y: targetY }, lane);
  const [corner] = lane;
  return (
    <>
      <BaseEdge id={id} path={pathOf(points)} {...(markerEnd ? { markerEnd } : {})} />
      {label && corner ? (
        <EdgeLabelRenderer>
          <span
            className={css['label'] ?? ''}
            style={{ transform: `translate(${corner.x}px, ${corner.y}px)` }}
          >
            {label}
          </span>
        </EdgeLabelRenderer>
      ) : null}
    </>
  );
}

/** A line along points whose corners are bent. */
function pathOf(points: readonly { x: number; y: number }[]): string {
  const [first, ...rest] = points;
  if (!first) return '';
  let path = `M ${first.x} ${first.y}`;
  rest.forEach((point, at) => {
    const next = rest[at + 1];
    const before = at ? rest[at - 1] : first;
    if (!next || !before) {
      path += ` L ${point.x} ${point.y}`;
      return;
    }
    const into = towards(point, before);
    const out = towards(point, next);
    path += ` L ${into.x} ${into.y} Q ${point.x} ${point.y} ${out.x} ${out.y}`;
  });
  return path;
}

function towards(from: { x: number; y: number }, to: { x: number; y: number }) {
  const far = Math.hypot(to.x - from.x, to.y - from.y) || 1;
  const part = Math.min(BEND, far / 2) / far;
  return { x: from.x + (to.x - from.x) * part, y: from.y + (to.y - from.y) * part };
}
