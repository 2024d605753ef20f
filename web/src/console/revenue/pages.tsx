import type { Page } from '../../shared/pages';

export const pages: Page[] = [
  { path: 'settlements/:settlement', section: 'projects', load: () => import('./SettlementPage') },
];
