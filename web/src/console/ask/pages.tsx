import type { Page } from '../../shared/pages';

export const pages: Page[] = [
  { path: 'ask/statistics', section: 'jobs', load: () => import('./Statistics') },
  { path: 'ask/overlap', section: 'jobs', load: () => import('./Overlap') },
];
