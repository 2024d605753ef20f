import type { Page } from '../../shared/pages';

export const pages: Page[] = [
  { path: 'doctor', section: 'doctor', first: true, load: () => import('./DoctorPage') },
];
