/** Words of requests, as the catalogue has them; what it does not know stays as it came. */
import { useTexts } from '../../shared/i18n';

/** Says the states of requests, the kinds of jobs, and what policies decide. */
export function useRequestWords() {
  const { t, has } = useTexts('inbox');
  const kind = (one: string) => (has(`words:kind.${one}`) ? t(`words:kind.${one}`) : one);
  const state = (one: string) => (has(`inbox:state.${one}`) ? t(`inbox:state.${one}`) : one);
  const effect = (one: string) => (has(`inbox:effect.${one}`) ? t(`inbox:effect.${one}`) : one);
  /** How a job ended, or that it runs. */
  const outcome = (one: string) => {
    if (!one) return '';
    return has(`words:state.${one}`) ? t(`words:state.${one}`) : one;
  };
  return { kind, state, effect, outcome };
}
