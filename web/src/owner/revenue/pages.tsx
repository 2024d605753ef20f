import type { Page } from '../../shared/pages';

export const pages: Page[] = [
  { path: 'settlements', section: 'settlements', first: true, load: () => import('./RevenuePage') },
  { path: 'settlements/:project', section: 'settlements', load: () => import('./ProjectPage') },
  {
    path: 'settlements/:project/:settlement',
    section: 'settlements',
    load: () => import('./SettlementPage'),
  },
];
