/** Words of datasets and grants, as the catalogue has them. */
import { useTexts } from '../../shared/i18n';

/** A word as it stands in a key: its blanks are dots. */
export function keyed(word: string): string {
  return word.replaceAll(' ', '.');
}

/** Says states of datasets and grants, types of columns, and the fields of a grant's terms. */
export function useHoldingWords() {
  const { t, has } = useTexts('holdings');
  const dataset = (one: string) =>
    has(`holdings:dataset.${keyed(one)}`) ? t(`holdings:dataset.${keyed(one)}`) : one;
  const grant = (one: string) =>
    has(`holdings:grant.${keyed(one)}`) ? t(`holdings:grant.${keyed(one)}`) : one;
  const type = (one: string) => (has(`holdings:type.${one}`) ? t(`holdings:type.${one}`) : one);
  const term = (one: string) => (has(`holdings:term.${one}`) ? t(`holdings:term.${one}`) : one);
  const otherwise = (one: string) =>
    has(`holdings:otherwise.${one}`) ? t(`holdings:otherwise.${one}`) : one;
  const granted = (name: string, one: string) =>
    has(`holdings:granted.${name}.${one}`) ? t(`holdings:granted.${name}.${one}`) : one;
  const charge = (one: string) =>
    has(`holdings:charge.${one}`) ? t(`holdings:charge.${one}`) : one;
  return { dataset, grant, type, term, otherwise, granted, charge };
}
