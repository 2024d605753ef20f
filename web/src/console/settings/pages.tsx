import type { Page } from '../../shared/pages';

export const pages: Page[] = [{ path: 'settings', load: () => import('./Settings') }];
