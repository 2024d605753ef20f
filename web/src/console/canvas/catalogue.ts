/** The catalogue of components: what can be drawn, with its words, ports and parameters. */
import type { Language } from '../../shared/preferences';

export type Words = { en: string; zh: string };
export type Labelled = { id: string; label: Words; sentence: Words };
export type PortType = Labelled & { stays: boolean };
export type Port = {
  name: string;
  type: string;
  label: Words;
  sentence: Words;
  required: boolean;
  many: boolean;
  field: string;
  goes_on: boolean;
};
export type Learning = { who: Words; sees: Words; why: Words };
export type Component = Labelled & {
  level: string;
  kind: string;
  group: string;
  place: { path: string; many: boolean } | null;
  preset: Record<string, string>;
  parameters: { $ref?: string };
  step: boolean;
  inputs: Port[];
  outputs: Port[];
  protections: string[];
  smallest_roster: number;
  engine: string;
  learns: Learning[];
};
export type Schema = { [name: string]: unknown };
export type Catalogue = {
  groups: Labelled[];
  port_types: PortType[];
  protections: Labelled[];
  components: Component[];
  /** The figures that a condition can be on. */
  conditions: string[];
  $defs: Record<string, Schema>;
};

/** The component of a whole kind. */
export function kindOf(catalogue: Catalogue, kind: string): Component | undefined {
  return catalogue.components.find((one) => one.level === 'kind' && one.kind === kind);
}

/** Inputs that come from other steps: what stands in `datasets` is of the whole job. */
export function takes(component: Component | undefined): Port[] {
  return (component?.inputs ?? []).filter((one) => one.type !== 'rows' && one.field !== '');
}

/** Whether an edge may lead from an output of one kind to an input of another. */
export function connects(
  catalogue: Catalogue,
  giver: string,
  output: string,
  taker: string,
  input: string,
): boolean {
  const given = kindOf(catalogue, giver)?.outputs.find((one) => one.name === output);
  const taken = takes(kindOf(catalogue, taker)).find((one) => one.name === input);
  return given !== undefined && taken !== undefined && given.goes_on && given.type === taken.type;
}

/** The output of a kind that an edge without `output` means: the one of the input's type. */
export function usualOutput(catalogue: Catalogue, giver: string, type: string): string {
  const outputs = kindOf(catalogue, giver)?.outputs ?? [];
  return outputs.find((one) => one.type === type && one.goes_on)?.name ?? '';
}

/** Whether what flows over a port of this type never leaves its owner. */
export function stays(catalogue: Catalogue, type: string): boolean {
  return catalogue.port_types.find((one) => one.id === type)?.stays ?? false;
}

function plain(text: string): string {
  return text.normalize('NFKC').toLowerCase();
}

/** The components that all words of a search fit, in either language. */
export function found(components: readonly Component[], search: string): Component[] {
  const wanted = plain(search).split(/\s+/).filter(Boolean);
  return components.filter((one) => {
    const said = [one.id, one.label.en, one.label.zh, one.sentence.en, one.sentence.zh];
    const text = plain(said.join(' '));
    return wanted.every((word) => text.includes(word));
  });
}

/** Words in a language. */
export function inWords(words: Words | undefined, language: Language): string {
  return words?.[language] ?? '';
}

/** What protects a job in words, of the names that its preview gives; empty where it names none. */
export function protectionsOf(catalogue: Catalogue, named: string, language: Language): string {
  const all = named.split(', ').filter(Boolean);
  // A step to which nobody contributes takes nothing from the protection of the others.
  const said = all.length > 1 ? all.filter((one) => one !== 'none') : all;
  const words = said.map((one) => inWords(catalogue.protections.find(({ id }) => id === one)?.label, language));
  return words.every(Boolean) ? words.join(' + ') : said.join(' + ');
}

/** The name of a step as it stands beside what it does; empty where that says the same. */
export function nameBeside(label: string, id: string): string {
  return label.toLowerCase() === id ? '' : id;
}
