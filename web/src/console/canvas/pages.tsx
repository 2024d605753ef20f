import type { Page } from '../../shared/pages';

export const pages: Page[] = [
  { path: 'jobs/new', section: 'jobs', load: () => import('./CanvasPage') },
  { path: 'jobs/:job/graph', section: 'jobs', load: () => import('./GraphPage') },
];
