import type { Page } from '../../shared/pages';

export const pages: Page[] = [
  { path: 'grants', section: 'grants', first: true, load: () => import('./GrantsPage') },
  { path: 'grants/new', section: 'grants', load: () => import('./NewGrant') },
  { path: 'grants/:grant', section: 'grants', load: () => import('./GrantPage') },
  { path: 'grants/:grant/confirm', section: 'grants', load: () => import('./ConfirmPage') },
];
