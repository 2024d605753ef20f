import type { Page } from '../../shared/pages';

export const pages: Page[] = [
  {
    path: 'administration',
    section: 'administration',
    first: true,
    load: () => import('./Administration'),
  },
  {
    path: 'administration/people/:person',
    section: 'administration',
    load: () => import('./PersonPage'),
  },
];
