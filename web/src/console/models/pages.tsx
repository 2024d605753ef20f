import type { Page } from '../../shared/pages';

export const pages: Page[] = [
  { path: 'models', section: 'models', first: true, load: () => import('./ModelList') },
  { path: 'models/compare', section: 'models', load: () => import('./ModelComparison') },
  { path: 'models/:model', section: 'models', load: () => import('./ModelPage') },
];
