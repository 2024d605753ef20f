/** What every part of the canvas knows: the draft, its graph, and how to change it. */
import { createContext, useContext } from 'react';
import type { Language } from '../../shared/preferences';
import type { Catalogue, Component } from './catalogue';
import type { Edge, Step } from './draft';
import type { Place } from './history';
import type { Json, Members, Path } from './json';
import type { Problem } from './problems';

export type Choice = { value: string; label: string };
/** What pickers offer, by what a value refers to. */
export type Picks = Record<string, Choice[]>;

export type Drawing = {
  catalogue: Catalogue;
  language: Language;
  request: Members;
  steps: Step[];
  edges: Edge[];
  places: Record<string, Place>;
  picks: Picks;
  problems: Problem[];
  /** What a template says of its places: `""` is the whole, `steps.ID` a step. */
  comments: Record<string, string>;
  /** Owners of the datasets, in their order. */
  owners: string[];
  /** Of a job that runs: owners whose agents have no link. */
  away?: string[];
  /** The step whose settings are shown; empty for the job's own. */
  chosen: string;
  choose: (step: string) => void;
  /** The field that a problem leads to. */
  wanted: { path: Path; turn: number } | null;
  show: (problem: Problem) => void;
  put: (path: Path, value: Json | undefined) => void;
  become: (request: Members, about?: string) => void;
  move: (step: string, to: Place) => void;
  add: (component: Component) => void;
  remove: (step: string) => void;
  connect: (edge: Omit<Edge, 'path'>) => void;
  disconnect: (edge: Edge) => void;
};

export const DrawingContext = createContext<Drawing | null>(null);

/** The drawing of the canvas around a component. */
export function useDrawing(): Drawing {
  const drawing = useContext(DrawingContext);
  if (!drawing) throw new Error('outside of a canvas');
  return drawing;
}

/** The id of the input of a field, and of the row around it. */
export function inputId(path: Path): string {
  return `field-${path.join('.')}`;
}
