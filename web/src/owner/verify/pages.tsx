import type { Page } from '../../shared/pages';

export const pages: Page[] = [
  { path: 'verify', section: 'verify', first: true, load: () => import('./VerifyPage') },
];
