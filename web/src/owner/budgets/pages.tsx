import type { Page } from '../../shared/pages';

export const pages: Page[] = [
  { path: 'budgets', section: 'budgets', first: true, load: () => import('./BudgetsPage') },
  { path: 'budgets/:domain', section: 'budgets', load: () => import('./BudgetPage') },
];
