import type { Page } from '../../shared/pages';

export const pages: Page[] = [
  { path: 'jobs', section: 'jobs', first: true, load: () => import('./JobList') },
  { path: 'jobs/compare', section: 'jobs', load: () => import('./RunComparison') },
  { path: 'jobs/:job', section: 'jobs', load: () => import('./JobPage') },
];
