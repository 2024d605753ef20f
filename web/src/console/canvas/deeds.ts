/** What one does to a draft on the canvas; what cannot be done is said. */
import type { Catalogue, Component } from './catalogue';
import { added, connected, disconnected, removed, stepsOf, withPart, type Step } from './draft';
import type { Drawing } from './drawing';
import { dotted, put, type Members } from './json';

type Given = {
  request: Members;
  catalogue: Catalogue;
  steps: readonly Step[];
  chosen: string;
  choose: (step: string) => void;
  /** Project → its purpose, which is filled in where none is said. */
  purposes: Record<string, string>;
  become: (request: Members, about?: string) => void;
  refuse: () => void;
};
type Deeds = Pick<Drawing, 'put' | 'add' | 'remove' | 'connect' | 'disconnect'>;

/** The deeds on a draft as it is now. */
export function deedsOf({ request, catalogue, steps, chosen, choose, purposes, become, refuse }: Given): Deeds {
  const change = (next: Members | null, about = '') => (next ? become(next, about) : refuse());
  return {
    put: (path, value) => {
      const next = put(request, path, value) as Members;
      const purpose = path[0] === 'project' && !next['purpose'] ? purposes[String(value)] : undefined;
      change(purpose ? { ...next, purpose } : next, dotted(path));
    },
    add: (component: Component) => {
      const step = steps.find((one) => one.id === chosen);
      if (component.place && step?.kind === component.kind) {
        change(put(request, step.path, withPart(step.body, component)) as Members);
        return;
      }
      const made = added(request, component, catalogue);
      change(made?.request ?? null);
      if (made) choose(calledNow(made.request, made.id));
    },
    remove: (id) => {
      change(removed(request, id, catalogue));
      choose('');
    },
    connect: (edge) => change(connected(request, catalogue, edge)),
    disconnect: (edge) => change(disconnected(request, edge)),
  };
}

/** A step's id as the request has it: the only step is called as its kind. */
function calledNow(request: Members, id: string): string {
  const steps = stepsOf(request);
  return steps.find((one) => one.id === id)?.id ?? steps.at(-1)?.id ?? '';
}
