import '@xyflow/react/dist/style.css';
import {
  Background,
  Controls,
  MarkerType,
  ReactFlow,
  type Connection,
  type Edge as FlowEdge,
  type EdgeChange,
  type Node,
  type NodeChange,
  type ReactFlowInstance,
} from '@xyflow/react';
import { useMemo, useRef, useState, type DragEvent } from 'react';
import { useTexts } from '../../shared/i18n';
import { useDark } from '../../shared/theme';
import { kindOf, stays, takes } from './catalogue';
import { useDrawing } from './drawing';
import { DRAGGED } from './Palette';
import css from './Graph.module.css';
import { useInView } from './inview';
import { lanesOf } from './layout';
import { RoutedEdge } from './RoutedEdge';
import { StepNode, type StepData } from './StepNode';
import type { Edge, Step } from './draft';

const NODES = { step: StepNode };
const EDGES = { routed: RoutedEdge };
const ORDER = 'order';

/** What is read-only where a graph is looked at: nothing can be moved or connected. */
export function Graph({ reads = false, states = {} }: { reads?: boolean; states?: Record<string, string> }) {
  const { t } = useTexts('canvas');
  const drawing = useDrawing();
  const { catalogue, steps, edges, places, chosen, choose, move, connect, disconnect, remove, add } = drawing;
  const [edge, mark] = useState('');
  const flow = useRef<ReactFlowInstance<Node<StepData>> | null>(null);
  const frame = useRef<HTMLDivElement>(null);
  const held = useRef(false);
  const dark = useDark();
  const [sizes, measure] = useState<Sizes>({});
  const nodes = useMemo(
    () =>
      steps.map((step): Node<StepData> => ({
        id: step.id,
        type: 'step',
        position: places[step.id] ?? { x: 0, y: 0 },
        selected: step.id === chosen,
        data: { step, state: states[step.id] ?? '' },
        ariaLabel: step.id,
        ...measuredOf(step, sizes),
      })),
    [steps, places, chosen, states, sizes],
  );
  const lanes = useMemo(() => lanesOf(edges, places), [edges, places]);
  const lines = useMemo(
    () =>
      edges.map((one): FlowEdge => {
        const lane = lanes.get(one);
        const port = takes(kindOf(catalogue, kind(one.to, steps))).find(({ name }) => name === one.input);
        const local = port !== undefined && stays(catalogue, port.type);
        return {
          id: keyOf(one),
          source: one.from,
          target: one.to,
          sourceHandle: one.output || ORDER,
          targetHandle: one.input || ORDER,
          selected: keyOf(one) === edge,
          ...(lane ? { type: 'routed', data: { lane } } : {}),
          markerEnd: { type: MarkerType.ArrowClosed },
          ...(one.input ? {} : { className: css['order'] ?? '' }),
          ...(local ? { label: t('canvas:stays') } : {}),
          ariaLabel: t('canvas:edge', { from: one.from, to: one.to }),
        };
      }),
    [edges, steps, catalogue, edge, lanes, t],
  );
  useInView({ flow, frame, held, chosen, place: places[chosen], count: steps.length });
  const nodesChanged = (changes: NodeChange<Node<StepData>>[]) => {
    for (const one of changes) {
      if (one.type === 'position') held.current = one.dragging === true;
      if (one.type === 'position' && one.position && !reads) move(one.id, one.position);
      if (one.type === 'select' && one.selected) choose(one.id);
    }
    const found = sizesOf(changes, steps);
    if (Object.keys(found).length) measure((before) => ({ ...before, ...found }));
  };
  const edgesChanged = (changes: EdgeChange[]) => {
    for (const one of changes) if (one.type === 'select') mark(one.selected ? one.id : '');
  };
  const fits = (one: Connection | FlowEdge) => typed(one, drawing);
  const drawn = (one: Connection) => {
    if (fits(one)) connect(edgeOf(one));
  };
  const dropped = (event: DragEvent) => {
    const key = event.dataTransfer.getData(DRAGGED);
    const component = catalogue.components.find((each) => each.id === key);
    if (!component) return;
    event.preventDefault();
    add(component);
  };
  const keyed = (event: { key: string }) => {
    if (reads || (event.key !== 'Delete' && event.key !== 'Backspace')) return;
    const line = edges.find((one) => keyOf(one) === edge);
    if (line) disconnect(line);
    else if (chosen) remove(chosen);
  };
  return (
    <div
      ref={frame}
      className={css['graph']}
      onKeyDown={keyed}
      onDrop={dropped}
      onDragOver={(event) => event.preventDefault()}
    >
      <ReactFlow<Node<StepData>>
        nodes={nodes}
        edges={lines}
        nodeTypes={NODES}
        edgeTypes={EDGES}
        colorMode={dark ? 'dark' : 'light'}
        onInit={(made) => {
          flow.current = made;
        }}
        onNodesChange={nodesChanged}
        onEdgesChange={edgesChanged}
        onConnect={drawn}
        isValidConnection={fits}
        onPaneClick={() => choose('')}
        nodesDraggable={!reads}
        nodesConnectable={!reads}
        deleteKeyCode={null}
        fitView
        fitViewOptions={{ maxZoom: 1, padding: 0.2 }}
        minZoom={0.2}
        proOptions={{ hideAttribution: true }}
        ariaLabelConfig={{
          'node.a11yDescription.default': t('canvas:a11y.node'),
          'node.a11yDescription.keyboardDisabled': t('canvas:a11y.node'),
          'edge.a11yDescription.default': t('canvas:a11y.edge'),
          'controls.ariaLabel': t('canvas:a11y.controls'),
          'controls.zoomIn.ariaLabel': t('canvas:a11y.in'),
          'controls.zoomOut.ariaLabel': t('canvas:a11y.out'),
          'controls.fitView.ariaLabel': t('canvas:a11y.fit'),
          'handle.ariaLabel': t('canvas:a11y.handle'),
        }}
        aria-label={t('canvas:graph')}
      >
        <Background />
        <Controls showInteractive={false} />
      </ReactFlow>
    </div>
  );
}

/** The size of a step as the browser drew it, and of which kind it was then. */
type Sizes = Record<string, { kind: string; width: number; height: number }>;

/**
 * A step whose size is not told is taken for a new one at each change: it is hidden, and its edges
 * are not drawn, until it is measured again. One that became of another kind has other ports.
 */
function measuredOf(step: Step, sizes: Sizes): Pick<Node, 'measured'> {
  const found = sizes[step.id];
  return found?.kind === step.kind ? { measured: { width: found.width, height: found.height } } : {};
}

function sizesOf(changes: readonly NodeChange<Node<StepData>>[], steps: readonly Step[]): Sizes {
  return Object.fromEntries(
    changes.flatMap((one) =>
      one.type === 'dimensions' && one.dimensions
        ? [[one.id, { kind: kind(one.id, steps), ...one.dimensions }]]
        : [],
    ),
  );
}

function kind(id: string, steps: readonly { id: string; kind: string }[]): string {
  return steps.find((one) => one.id === id)?.kind ?? '';
}

function keyOf(edge: Edge): string {
  return `${edge.from} ${edge.output} ${edge.to} ${edge.path.join('.')}`;
}

function edgeOf(one: Connection | FlowEdge): Omit<Edge, 'path'> {
  const named = (handle: string | null | undefined) => (!handle || handle === ORDER ? '' : handle);
  return {
    from: one.source,
    to: one.target,
    output: named(one.sourceHandle),
    input: named(one.targetHandle),
  };
}

/** Whether the types of both ends agree: an order leads from anything to the place of an order. */
function typed(one: Connection | FlowEdge, { catalogue, steps }: ReturnType<typeof useDrawing>): boolean {
  const { from, to, output, input } = edgeOf(one);
  if (from === to) return false;
  if (!input) return true;
  const given = kindOf(catalogue, kind(from, steps))?.outputs.find(({ name }) => name === output);
  const taken = takes(kindOf(catalogue, kind(to, steps))).find(({ name }) => name === input);
  return given !== undefined && taken !== undefined && given.goes_on && given.type === taken.type;
}
