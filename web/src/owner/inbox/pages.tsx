import type { Page } from '../../shared/pages';

const request = () => import('./RequestPage');

export const pages: Page[] = [
  { path: 'inbox', section: 'inbox', first: true, load: () => import('./InboxPage') },
  { path: 'inbox/:item', section: 'inbox', load: request },
  { path: 'r/:item', section: 'inbox', load: request },
];
