import type { Page } from '../../shared/pages';

export const pages: Page[] = [
  { path: '', section: 'overview', first: true, load: () => import('./Overview') },
];
