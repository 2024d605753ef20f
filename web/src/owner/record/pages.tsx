import type { Page } from '../../shared/pages';

export const pages: Page[] = [
  { path: 'record', section: 'record', first: true, load: () => import('./RecordPage') },
];
