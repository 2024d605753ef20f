import type { Page } from '../../shared/pages';

export const pages: Page[] = [
  { path: 'data', section: 'data', first: true, load: () => import('./DataPage') },
  { path: 'data/:name', section: 'data', load: () => import('./DatasetPage') },
];
