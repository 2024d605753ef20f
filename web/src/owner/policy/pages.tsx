import type { Page } from '../../shared/pages';

export const pages: Page[] = [
  { path: 'policies', section: 'policy', first: true, load: () => import('./PoliciesPage') },
  { path: 'policies/:name', section: 'policy', load: () => import('./PolicyPage') },
];
