/** Figures of privacy budgets, as the reader's language writes them. */
import { number } from '../../shared/format';
import type { Language } from '../../shared/preferences';

/** ε with as many digits as say something; a dash where there is none. */
export function epsilon(value: number | null | undefined, language: Language): string {
  return value === null || value === undefined ? '–' : number(value, language, 4);
}
