/**
 * Draws jobs anew, as a person does: each step from the palette, each setting in its form, each edge
 * by itself. What no form of the canvas can say is an error. For the comparison of digests.
 *
 * Standard input is JSON: the `catalogue`, and `files` by their names. Each answer has the request
 * that a file is, the one that was drawn, and the file that is made of that; else `error`.
 */
import { kindOf, takes, type Catalogue, type Schema } from '../catalogue';
import { added, COMMON, connected, edgesOf, PIPELINE, renamed, stepsOf, withStep } from '../draft';
import { read, written } from '../files';
import { at, dotted, isMembers, put, same, type Json, type Members, type Path } from '../json';
import { bareSchema, constants, emptyOf, fieldOf, fieldsOf, resolved, shapeOf } from '../schema';
import { variantOf } from '../variants';

class Undrawable extends Error {}

/** A pen that fills in forms. */
class Pen {
  request: Members = {};

  constructor(private readonly catalogue: Catalogue) {}

  /** Fills in a value at a path by the inputs that its schema gives. */
  fill(path: Path, schema: Schema, value: Json): void {
    if (isMembers(value) && typeof value['step'] === 'string' && Object.keys(value).length <= 2) {
      const inputs = this.catalogue.components.flatMap(takes);
      const here = path.filter((one) => typeof one === 'string').join('.');
      if (inputs.some((one) => here.endsWith(one.field))) return; // comes with its edge
    }
    if (value === null) {
      if (!fieldOf('', resolved(schema, this.catalogue.$defs)).nullable) throw new Undrawable(`null ${dotted(path)}`);
      this.set(path, null);
      return;
    }
    const shape = shapeOf(schema, this.catalogue);
    switch (shape.is) {
      case 'object':
        return this.members(path, schema, value);
      case 'variants': {
        const variant = variantOf(value, shape.variants, this.catalogue);
        if (!variant) break;
        this.set(path, variant.first);
        if ('const' in variant.schema) return undefined;
        return this.fill(path, variant.schema, value);
      }
      case 'list':
        return this.items(path, shape.item, value);
      case 'map':
        if (!isMembers(value)) break;
        this.set(path, {});
        for (const [name, one] of Object.entries(value)) this.fill([...path, name], shape.value, one);
        return undefined;
      case 'choice':
        if (!shape.options.some((one) => same(one.value, value))) break;
        return this.set(path, value);
      case 'choices':
        if (!Array.isArray(value)) break;
        if (!value.every((each) => shape.options.some((one) => same(one.value, each)))) break;
        return this.set(path, value);
      case 'number': {
        const { whole, least = -Infinity, most = Infinity } = shape;
        if (typeof value !== 'number' || value < least || value > most) break;
        if (whole && !Number.isInteger(value)) break;
        return this.set(path, value);
      }
      case 'text':
        if (typeof value === 'string') return this.set(path, value);
        break;
      case 'flag':
        if (typeof value === 'boolean') return this.set(path, value);
        break;
      case 'words':
        if (!Array.isArray(value)) break;
        return this.set(path, value.filter((one) => !isMembers(one)));
      case 'tuple':
        if (!Array.isArray(value) || value.length !== shape.items.length) break;
        return this.set(path, value);
      default:
        return this.set(path, value);
    }
    throw new Undrawable(`${dotted(path)}: ${JSON.stringify(value)} in ${shape.is}`);
  }

  private set(path: Path, value: Json): void {
    this.request = put(this.request, path, value) as Members;
  }

  private members(path: Path, schema: Schema, value: Json): void {
    if (!isMembers(value)) throw new Undrawable(dotted(path));
    const inner = bareSchema(schema);
    const there = at(this.request, path);
    const begun = isMembers(there) ? there : constants(inner, this.catalogue.$defs);
    this.set(path, begun);
    const fields = fieldsOf(inner, this.catalogue.$defs);
    for (const [name, one] of Object.entries(value)) {
      if (begun[name] === one) continue;
      const field = fields.find((each) => each.name === name);
      if (!field) throw new Undrawable(`no field ${dotted([...path, name])}`);
      this.fill([...path, name], field.schema, one);
    }
  }

  private items(path: Path, item: Schema, value: Json): void {
    if (!Array.isArray(value)) throw new Undrawable(dotted(path));
    this.set(path, []);
    value.forEach((one, index) => {
      this.set([...path, index], emptyOf(item, this.catalogue));
      this.fill([...path, index], item, one);
    });
  }
}

/** The request, drawn from nothing. */
export function redrawn(source: Members, catalogue: Catalogue): Members {
  const pen = new Pen(catalogue);
  const kind = kindOf(catalogue, String(source['kind']));
  const made = kind ? added({}, kind, catalogue) : null;
  if (!kind || !made) throw new Undrawable(String(source['kind']));
  pen.request = made.request;
  const steps = stepsOf(source);
  if (source['kind'] === PIPELINE) steps.forEach((one) => step(pen, one.id, one.kind, catalogue));
  for (const field of fieldsOf(kind.parameters, catalogue.$defs)) {
    const value = source[field.name];
    const own = field.name === 'steps' && source['kind'] === PIPELINE;
    if (value !== undefined && !own) pen.fill([field.name], field.schema, value);
  }
  if (source['kind'] !== PIPELINE) return checked(source, pen.request);
  steps.forEach((one, index) => settings(pen, one.body, index, catalogue));
  for (const edge of edgesOf(source, catalogue)) {
    const next = connected(pen.request, catalogue, edge);
    if (!next) throw new Undrawable(`${edge.from} to ${edge.to}`);
    pen.request = next;
  }
  return checked(source, pen.request);
}

function step(pen: Pen, id: string, kind: string, catalogue: Catalogue): void {
  const next = withStep(pen.request, { kind });
  pen.request = next.id === id ? next.request : (renamed(next.request, next.id, id, catalogue) ?? {});
}

function settings(pen: Pen, body: Members, index: number, catalogue: Catalogue): void {
  const component = kindOf(catalogue, String(body['kind']));
  const fields = component ? fieldsOf(component.parameters, catalogue.$defs) : [];
  for (const [name, value] of Object.entries(body)) {
    if (['id', 'kind', 'needs'].includes(name)) continue;
    if (isMembers(value) && takes(component).some((one) => one.field === name)) continue; // its edge
    const field = fields.find((one) => one.name === name);
    if (!field || COMMON.some((one) => one === name)) throw new Undrawable(`no field ${name}`);
    pen.fill(['steps', index, name], field.schema, value);
  }
}

function checked(source: Members, drawn: Members): Members {
  for (const name of Object.keys(source)) {
    if (at(drawn, [name]) === undefined) throw new Undrawable(`not drawn: ${name}`);
  }
  return drawn;
}

async function answer(text: string, catalogue: Catalogue): Promise<Members> {
  try {
    const request = await read(text);
    const drawn = redrawn(request, catalogue);
    const file = await written(drawn);
    return { request, drawn, file, again: await read(file) };
  } catch (error) {
    return { error: error instanceof Error ? error.message : String(error) };
  }
}

const chunks: Buffer[] = [];
for await (const chunk of process.stdin) chunks.push(chunk as Buffer);
const given = JSON.parse(Buffer.concat(chunks).toString()) as {
  catalogue: Catalogue;
  files: Record<string, string>;
};
const answers: Record<string, Members> = {};
for (const [name, text] of Object.entries(given.files)) answers[name] = await answer(text, given.catalogue);
process.stdout.write(JSON.stringify(answers));
