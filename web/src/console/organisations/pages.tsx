import type { Page } from '../../shared/pages';

export const pages: Page[] = [
  {
    path: 'organisations',
    section: 'organisations',
    first: true,
    load: () => import('./OrganisationList'),
  },
  {
    path: 'organisations/charter',
    section: 'organisations',
    load: () => import('./CharterPage'),
  },
  {
    path: 'organisations/:organisation',
    section: 'organisations',
    load: () => import('./OrganisationPage'),
  },
];
