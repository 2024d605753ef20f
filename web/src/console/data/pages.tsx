import type { Page } from '../../shared/pages';

export const pages: Page[] = [
  { path: 'data', section: 'data', first: true, load: () => import('./DatasetList') },
  { path: 'data/:dataset', section: 'data', load: () => import('./DatasetPage') },
];
