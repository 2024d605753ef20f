/** The places of the navigation, in their order. */
import type { Section } from '../../shared/pages';

export const SECTIONS: readonly Section[] = [
  'overview',
  'projects',
  'data',
  'jobs',
  'models',
  'record',
  'organisations',
  'administration',
];
