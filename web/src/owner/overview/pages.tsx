import type { Page } from '../../shared/pages';

const overview = () => import('./Overview');

export const pages: Page[] = [
  { path: '', section: 'overview', first: true, load: overview },
  { path: 'overview', section: 'overview', load: overview },
];
