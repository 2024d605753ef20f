import type { Page } from '../../shared/pages';

export const pages: Page[] = [
  { path: 'record', section: 'record', first: true, load: () => import('./Record') },
  { path: 'record/anchors', section: 'record', load: () => import('./Anchors') },
  { path: 'record/verify', section: 'record', load: () => import('./Verify') },
];
