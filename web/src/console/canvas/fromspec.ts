/** The request behind a spec, to run a job again with changes: what was signed, as it is asked for. */
import { kindOf, takes, type Catalogue, type Schema } from './catalogue';
import { PIPELINE, COMMON } from './draft';
import { isMembers, put, same, type Json, type Members } from './json';
import { bareSchema, resolved, shapeOf } from './schema';
import { variantOf } from './variants';

/** What names of a spec are called in a request. */
export type Known = {
  datasets: readonly { id: string; name: string; organisation: string }[];
  models: readonly { id: string; job: string }[];
};
const OF_ALL = new Set<string>([...COMMON, 'kind']);

/** The request; whatever no request can say (bounds of a past run, say) is left out. */
export function requestOf(spec: Members, catalogue: Catalogue, known: Known): Members {
  const kind = text(spec['kind']);
  return { ...headOf(spec, known), kind, ...ownOf(spec, catalogue, known) };
}

function headOf(spec: Members, known: Known): Members {
  const datasets = list(spec['roster']).flatMap((one): string[] => {
    const { party, dataset } = members(one);
    const found = known.datasets.find((each) => each.organisation === party && each.name === dataset);
    return found ? [found.id] : typeof dataset === 'string' && dataset ? [dataset] : [];
  });
  return {
    project: text(spec['project']),
    name: text(spec['name']),
    purpose: text(spec['purpose']),
    datasets,
  };
}

/** The members that only this kind has. */
function ownOf(spec: Members, catalogue: Catalogue, known: Known): Members {
  const kind = text(spec['kind']);
  if (kind === PIPELINE) return ofPipeline(spec, catalogue, known);
  if (kind === 'sweep') return ofSweep(spec, catalogue, known);
  if (kind === 'timetable') {
    const run = members(spec['job']);
    const { every, runs, window } = members(spec['timetable']);
    return {
      run: { kind: text(run['kind']), ...ownOf(run, catalogue, known) },
      timetable: defined({ every, runs, window, stop_on_failure: spec['stop_on_failure'] }),
    };
  }
  const said = { ...spec, ...translated(spec, known) };
  const schema = kindOf(catalogue, kind)?.parameters;
  if (!schema) return {};
  const found = members(pruned(said, schema, catalogue));
  return Object.fromEntries(Object.entries(found).filter(([name]) => !OF_ALL.has(name)));
}

/** Members that are called otherwise in a request. */
function translated(spec: Members, known: Known): Members {
  const model = (one: Json): Json => {
    const { job } = members(one);
    return known.models.find((each) => each.job === job)?.id ?? text(job);
  };
  const sides = list(spec['sides']).map((one): [string, Json] => {
    const { party, ...rest } = members(one);
    return [text(party), rest];
  });
  switch (spec['kind']) {
    case 'evaluation':
      return {
        models: list(spec['models']).map(model),
        baseline: members(list(spec['baseline'])[0])['job'] ?? null,
      };
    case 'prediction':
      return { model: model(spec['model'] ?? null) };
    case 'preparation':
      return { columns: list(spec['columns']).map((one) => text(members(one)['column'])) };
    case 'psi':
      return defined({
        columns: Object.fromEntries(sides),
        key: list(members(spec['key'])['parts']).map(rule),
        learns: spec['learns'] === 'one' ? spec['receiver'] : spec['learns'],
        receiver: spec['learns'] === 'one' ? null : spec['receiver'],
        most_rows: members(list(spec['sides'])[0])['most_rows'],
      });
    case 'mpc': {
      const idle = list(spec['roster']).flatMap((one) => {
        const { party, dataset } = members(one);
        return dataset ? [] : [text(party)];
      });
      const brought = sides.filter(([party]) => !idle.includes(party));
      return defined({
        program: spec['computation'],
        inputs: brought.length ? Object.fromEntries(brought) : undefined,
        compute: idle.length ? idle : undefined,
      });
    }
    default:
      return {};
  }
}

/** A rule of a key: by its name alone where it says nothing else. */
function rule(one: Json): Json {
  const said = members(one);
  return Object.keys(said).length === 1 && 'rule' in said ? (said['rule'] ?? null) : one;
}

function ofSweep(spec: Members, catalogue: Catalogue, known: Known): Members {
  const training = { ...members(spec['training']), kind: 'training' };
  const { name: metric, better } = members(spec['metric']);
  const { epsilon } = members(spec['privacy']);
  const stop = spec['stop_on_failure'];
  return {
    ...ownOf(training, catalogue, known),
    sweep: defined({ list: spec['points'], metric, better, stop_on_failure: stop, epsilon }),
  };
}

function ofPipeline(spec: Members, catalogue: Catalogue, known: Known): Members {
  const steps = list(spec['steps']).map((one): Json => {
    const { id, job, takes: edges, needs, when } = members(one);
    const inner = members(job);
    const kind = text(inner['kind']);
    let body: Members = { id: text(id), kind, ...ownOf(inner, catalogue, known) };
    const places = new Map<string, number>();
    for (const edge of list(edges)) {
      const { input, step, output } = members(edge);
      const port = takes(kindOf(catalogue, kind)).find((each) => each.name === input);
      if (!port) continue;
      const place = places.get(port.name) ?? 0;
      places.set(port.name, place + 1);
      const field = port.field.split('.');
      const path = port.many ? [...field, place] : field;
      body = put(body, path, { step: text(step), output: text(output) }) as Members;
    }
    return { ...body, ...defined({ needs, when }) };
  });
  return defined({ steps, attempts: spec['attempts'], epsilon: members(spec['privacy'])['epsilon'] });
}

/** A value without what its schema does not know, and without what is so by default. */
function pruned(value: Json, given: Schema, catalogue: Catalogue): Json {
  const schema = resolved(bareSchema(resolved(given, catalogue.$defs)), catalogue.$defs);
  const shape = shapeOf(given, catalogue);
  if (shape.is === 'variants') {
    const variant = variantOf(value, shape.variants, catalogue);
    return variant ? pruned(value, variant.schema, catalogue) : value;
  }
  if (Array.isArray(value)) {
    return shape.is === 'list' ? value.map((one) => pruned(one, shape.item, catalogue)) : value;
  }
  if (!isMembers(value)) return value;
  if (shape.is === 'map') {
    return Object.fromEntries(
      Object.entries(value).map(([name, one]) => [name, pruned(one, shape.value, catalogue)]),
    );
  }
  if (shape.is !== 'object') return value;
  const properties = (schema['properties'] ?? {}) as Record<string, Schema>;
  return Object.fromEntries(
    Object.entries(value).flatMap(([name, one]): [string, Json][] => {
      const known = properties[name];
      // A constant says which of several variants it is, though it is so by default.
      const usual = known !== undefined && !('const' in known) && same(one, known['default'] as Json | undefined);
      if (!known || usual) return [];
      return [[name, pruned(one, known, catalogue)]];
    }),
  );
}

function defined(value: Record<string, Json | undefined>): Members {
  return Object.fromEntries(
    Object.entries(value).flatMap(([name, one]): [string, Json][] =>
      one === undefined || one === null ? [] : [[name, one]],
    ),
  );
}

function members(value: Json | undefined): Members {
  return isMembers(value) ? value : {};
}

function list(value: Json | undefined): Json[] {
  return Array.isArray(value) ? value : [];
}

function text(value: Json | undefined): string {
  return typeof value === 'string' ? value : '';
}
