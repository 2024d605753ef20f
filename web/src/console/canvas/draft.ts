/**
 * A draft is the request of a job itself; the graph is read from it, and every change makes another
 * request. A job of one step is that kind's plain request, one of several a pipeline's.
 */
import { kindOf, takes, usualOutput, connects, type Catalogue, type Component } from './catalogue';
import { at, isMembers, put, type Json, type Members, type Path } from './json';
import { conditionOn, placesOf, WHEN } from './conditions';

export const PIPELINE = 'pipeline';
/** The members that all kinds begin with; the steps of a pipeline share them. */
export const COMMON = ['project', 'name', 'purpose', 'datasets', 'not_before', 'priority'] as const;
const OF_ALL = new Set<string>([...COMMON, 'kind']);
const MOST_STEPS = 16;

/** A step: where its members stand in the request, and what they are. */
export type Step = { id: string; kind: string; path: Path; body: Members };
/** What leads from an output to an input; an order without an edge has no input. */
export type Edge = { from: string; output: string; to: string; input: string; path: Path };

/** The steps of a request in their order; the one step of a plain request is called as its kind. */
export function stepsOf(request: Members): Step[] {
  const kind = text(request['kind']);
  if (!kind) return [];
  if (kind !== PIPELINE) return [{ id: kind, kind, path: [], body: request }];
  const { steps } = request;
  if (!Array.isArray(steps)) return [];
  return steps.flatMap((body, index) =>
    isMembers(body)
      ? [{ id: text(body['id']), kind: text(body['kind']), path: ['steps', index], body }]
      : [],
  );
}

/** The edges between the steps, and the orders that `needs` says. */
export function edgesOf(request: Members, catalogue: Catalogue): Edge[] {
  const steps = stepsOf(request);
  const kinds = new Map(steps.map((one) => [one.id, one.kind]));
  return steps.flatMap((step) => {
    const edges = takes(kindOf(catalogue, step.kind)).flatMap((port) => {
      const field = port.field.split('.');
      const value = at(step.body, field);
      const places: [Path, Json | undefined][] =
        port.many && Array.isArray(value)
          ? value.map((one, index) => [[...field, index], one])
          : [[field, value]];
      return places.flatMap(([path, one]): Edge[] => {
        const from = isMembers(one) ? text(one['step']) : '';
        if (!isMembers(one) || !from || !kinds.has(from)) return [];
        const output =
          text(one['output']) || usualOutput(catalogue, kinds.get(from) ?? '', port.type);
        return [{ from, output, to: step.id, input: port.name, path }];
      });
    });
    const needs = step.body['needs'];
    const orders = (Array.isArray(needs) ? needs : []).flatMap((one, index): Edge[] =>
      typeof one === 'string' && kinds.has(one)
        ? [{ from: one, output: '', to: step.id, input: '', path: ['needs', index] }]
        : [],
    );
    return [...edges, ...orders];
  });
}

/** Whether a component can be added beside what is drawn. */
export function addable(request: Members, component: Component, catalogue: Catalogue): boolean {
  const steps = stepsOf(request);
  if (!steps.length) return true;
  if (component.kind === PIPELINE || !component.step || steps.length >= MOST_STEPS) return false;
  return steps.every((one) => kindOf(catalogue, one.kind)?.step);
}

/** The request with one more step, and the step's id; null if it cannot stand beside the others. */
export function added(
  request: Members,
  component: Component,
  catalogue: Catalogue,
): { request: Members; id: string } | null {
  if (!addable(request, component, catalogue)) return null;
  if (component.kind === PIPELINE) return { request: { ...request, kind: PIPELINE, steps: [] }, id: '' };
  const body = withPart({ kind: component.kind }, component);
  return withStep(request, body);
}

/** The request with one more step of these members (of a copy, say). */
export function withStep(request: Members, body: Members): { request: Members; id: string } {
  const kind = text(body['kind']);
  const steps = stepsOf(request);
  if (!steps.length && request['kind'] !== PIPELINE) {
    const { id: _, needs: __, when: ___, ...own } = body;
    return { request: { ...commonOf(request), ...own, kind }, id: kind };
  }
  const pipeline = asPipeline(request);
  const id = freeId(stepsOf(pipeline), text(body['id']) || kind);
  const listed = [...(pipeline['steps'] as Json[]), { ...body, id }];
  return { request: { ...pipeline, steps: listed.map(inOrderOfMembers) }, id };
}

/** A step's members with what a component presets: the kind's own part, or one more of its list. */
export function withPart(body: Members, component: Component): Members {
  if (!component.place) return body;
  const { path, many } = component.place;
  if (!many) return put(body, [path], { ...component.preset }) as Members;
  const there = body[path];
  const part: Members = { ...component.preset };
  if (path === 'queries') part['name'] = freeName(there, component.preset['measure'] ?? 'query');
  return { ...body, [path]: [...(Array.isArray(there) ? there : []), part] };
}

/** The request without a step and without what led from it; one that is left is a plain request. */
export function removed(request: Members, id: string, catalogue: Catalogue): Members {
  const steps = stepsOf(request);
  if (request['kind'] !== PIPELINE || steps.length <= 1) return commonOf(request);
  let left = request;
  for (const edge of edgesOf(request, catalogue).filter((one) => one.from === id).reverse()) {
    left = disconnected(left, edge);
  }
  const listed = stepsOf(left).filter((one) => one.id !== id);
  const [only] = listed;
  if (listed.length === 1 && only && left['attempts'] === undefined && left['epsilon'] === undefined) {
    const { id: _, needs: __, when: ___, ...own } = only.body;
    return { ...commonOf(left), ...own };
  }
  return { ...left, steps: listed.map((one) => one.body) };
}

/** The request with an edge; null where the types differ or a circle would close. */
export function connected(
  request: Members,
  catalogue: Catalogue,
  edge: Omit<Edge, 'path'>,
): Members | null {
  const steps = stepsOf(request);
  const giver = steps.find((one) => one.id === edge.from);
  const taker = steps.find((one) => one.id === edge.to);
  if (!giver || !taker || giver === taker) return null;
  if (reaches(request, catalogue, edge.to, edge.from)) return null;
  if (!edge.input) return ordered(withNeed(request, taker, edge.from), catalogue);
  if (!connects(catalogue, giver.kind, edge.output, taker.kind, edge.input)) return null;
  const port = takes(kindOf(catalogue, taker.kind)).find((one) => one.name === edge.input);
  if (!port) return null;
  const usual = usualOutput(catalogue, giver.kind, port.type) === edge.output;
  const reference: Members = { step: edge.from, ...(usual ? {} : { output: edge.output }) };
  const field = [...taker.path, ...port.field.split('.')];
  const there = at(request, field);
  if (edge.input === WHEN) {
    return ordered(put(request, field, conditionOn(giver, there)) as Members, catalogue);
  }
  if (!port.many) return ordered(put(request, field, reference) as Members, catalogue);
  const listed = Array.isArray(there) ? there : [];
  if (listed.some((one) => isMembers(one) && one['step'] === edge.from)) return request;
  return ordered(put(request, field, [...listed, reference]) as Members, catalogue);
}

/** The request without an edge. */
export function disconnected(request: Members, edge: Edge): Members {
  const step = stepsOf(request).find((one) => one.id === edge.to);
  if (!step) return request;
  const without = put(request, [...step.path, ...edge.path], undefined) as Members;
  const holder = [...step.path, ...edge.path.slice(0, -1)];
  const rest = at(without, holder);
  const bare = Array.isArray(rest) ? !rest.length : isMembers(rest) && !Object.keys(rest).length;
  return bare && holder.length > step.path.length
    ? (put(without, holder, undefined) as Members)
    : without;
}

/** The request with a step called otherwise; null if the name is taken or no name. */
export function renamed(
  request: Members,
  id: string,
  to: string,
  catalogue: Catalogue,
): Members | null {
  const steps = stepsOf(request);
  if (request['kind'] !== PIPELINE || !/^[a-z0-9][a-z0-9-]{0,62}$/.test(to)) return null;
  if (steps.some((one) => one.id === to)) return null;
  let found: Members = request;
  for (const edge of edgesOf(request, catalogue).filter((one) => one.from === id)) {
    const step = steps.find((one) => one.id === edge.to);
    const path = [...(step?.path ?? []), ...edge.path];
    found = put(found, edge.input ? [...path, 'step'] : path, to) as Members;
  }
  for (const path of placesOf(steps, id)) found = put(found, path, to) as Members;
  const step = steps.find((one) => one.id === id);
  return step ? (put(found, [...step.path, 'id'], to) as Members) : null;
}

/** A copy of a step to be put elsewhere: without what it took from others. */
export function copied(request: Members, id: string, catalogue: Catalogue): Members | null {
  let alone = request;
  for (const edge of edgesOf(request, catalogue).filter((one) => one.to === id).reverse()) {
    alone = disconnected(alone, edge);
  }
  const step = stepsOf(alone).find((one) => one.id === id);
  if (!step) return null;
  return Object.fromEntries(
    Object.entries(step.body).filter(([name]) => name === 'kind' || !OF_ALL.has(name)),
  );
}

/** The members that all steps share. */
export function commonOf(request: Members): Members {
  return Object.fromEntries(COMMON.flatMap((name) => (name in request ? [[name, request[name]]] : []))) as Members;
}

function asPipeline(request: Members): Members {
  if (request['kind'] === PIPELINE) {
    return Array.isArray(request['steps']) ? request : { ...request, steps: [] };
  }
  const own = Object.entries(request).filter(([name]) => name === 'kind' || !OF_ALL.has(name));
  const body: Members = Object.fromEntries(own);
  const step = inOrderOfMembers({ ...body, id: text(request['kind']) });
  return { ...commonOf(request), kind: PIPELINE, steps: [step] };
}

function inOrderOfMembers(body: Json): Json {
  if (!isMembers(body)) return body;
  const { id = '', kind = '', ...rest } = body;
  return { id, kind, ...rest };
}

function withNeed(request: Members, taker: Step, from: string): Members {
  const needs = taker.body['needs'];
  const listed = Array.isArray(needs) ? needs : [];
  if (listed.includes(from)) return request;
  return put(request, [...taker.path, 'needs'], [...listed, from]) as Members;
}

/** Whether a way leads from one step to another. */
function reaches(request: Members, catalogue: Catalogue, from: string, to: string): boolean {
  const edges = edgesOf(request, catalogue);
  const seen = new Set<string>();
  const open = [from];
  for (let id = open.pop(); id !== undefined; id = open.pop()) {
    if (id === to) return true;
    if (seen.has(id)) continue;
    seen.add(id);
    open.push(...edges.filter((one) => one.from === id).map((one) => one.to));
  }
  return false;
}

/** The steps in an order in which each comes after what it takes, else as they were. */
function ordered(request: Members, catalogue: Catalogue): Members {
  const edges = edgesOf(request, catalogue);
  let waiting = stepsOf(request);
  const listed: Step[] = [];
  while (waiting.length) {
    const due = waiting.find((one) =>
      edges.every((edge) => edge.to !== one.id || !waiting.some((other) => other.id === edge.from)),
    );
    const next = due ?? waiting[0];
    if (!next) break;
    listed.push(next);
    waiting = waiting.filter((one) => one !== next);
  }
  return { ...request, steps: listed.map((one) => one.body) };
}

function freeId(steps: readonly Step[], wanted: string): string {
  const taken = new Set(steps.map((one) => one.id));
  const base = wanted.replace(/-\d+$/, '');
  if (!taken.has(wanted)) return wanted;
  let count = 2;
  while (taken.has(`${base}-${count}`)) count += 1;
  return `${base}-${count}`;
}

function freeName(there: Json | undefined, wanted: string): string {
  const taken = new Set((Array.isArray(there) ? there : []).map((one) => (isMembers(one) ? one['name'] : '')));
  if (!taken.has(wanted)) return wanted;
  let count = 2;
  while (taken.has(`${wanted}-${count}`)) count += 1;
  return `${wanted}-${count}`;
}

function text(value: Json | undefined): string {
  return typeof value === 'string' ? value : '';
}
