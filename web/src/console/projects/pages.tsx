import type { Page } from '../../shared/pages';

export const pages: Page[] = [
  { path: 'projects', section: 'projects', first: true, load: () => import('./ProjectList') },
  { path: 'projects/:project', section: 'projects', load: () => import('./ProjectPage') },
];
