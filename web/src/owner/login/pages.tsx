import type { Page } from '../../shared/pages';

export const pages: Page[] = [{ path: 'login', open: true, load: () => import('./Login') }];
