import type { Page } from '../../shared/pages';

export const pages: Page[] = [
  { path: 'people', section: 'people', first: true, load: () => import('./PeoplePage') },
  { path: 'people/:name', section: 'people', load: () => import('./PersonPage') },
];
