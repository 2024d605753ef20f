/** The pages of the console: every area's `pages.tsx`. */
import { pagesOf } from '../shared/pages';

export const pages = pagesOf(import.meta.glob('./*/pages.tsx', { eager: true }));
