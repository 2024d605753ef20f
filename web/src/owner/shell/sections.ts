/** The places of the navigation, in their order. */
import type { Section } from '../../shared/pages';

export const SECTIONS: readonly Section[] = [
  'overview',
  'inbox',
  'data',
  'grants',
  'budgets',
  'jobs',
  'settlements',
  'policy',
  'record',
  'verify',
  'doctor',
  'people',
];
