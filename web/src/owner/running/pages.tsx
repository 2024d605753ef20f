import type { Page } from '../../shared/pages';

export const pages: Page[] = [
  { path: 'running', section: 'jobs', first: true, load: () => import('./RunningPage') },
];
