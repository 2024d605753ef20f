import type { Page } from '../../shared/pages';

export const pages: Page[] = [{ path: 'account', load: () => import('./AccountPage') }];
