/** What a page is: each area lists its own in `<area>/pages.tsx`, and nobody else edits them. */
import type { ComponentType } from 'react';

/** The places of the navigation. */
export type Section =
  | 'overview'
  | 'projects'
  | 'data'
  | 'jobs'
  | 'models'
  | 'record'
  | 'organisations'
  | 'administration'
  // of the owner's page
  | 'inbox'
  | 'grants'
  | 'budgets'
  | 'settlements'
  | 'policy'
  | 'verify'
  | 'doctor'
  | 'people';

export type Page = {
  /** Under the entry's address, in react-router's notation: `jobs/:job`. */
  path: string;
  /** Which place of the navigation is marked; none for pages that hang elsewhere. */
  section?: Section;
  /** Whether the place of the navigation leads here: the first page of a section. */
  first?: boolean;
  /** Shown without a login and without the frame around it. */
  open?: boolean;
  /** Loads the module whose default export is the page. */
  load: () => Promise<{ default: ComponentType }>;
};

type Module = { pages?: readonly Page[] };

/** The pages of all areas, in a stable order. */
export function pagesOf(modules: Record<string, Module>): Page[] {
  return Object.keys(modules)
    .sort()
    .flatMap((name) => [...(modules[name]?.pages ?? [])]);
}
