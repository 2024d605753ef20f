/** What a condition of a policy says, of the forms that are usual; others stand as Cedar writes them. */

/** A fact of the request, how it is compared, and with what; `not`: it must not be so. */
export type Condition = { fact: string; is: string; value: string; not: boolean };

const FACT = String.raw`context\.([a-z_]+)`;
const VALUE = String.raw`("[^"\\]*"|-?\d+|true|false)`;
const DECIMAL = String.raw`\(decimal\("(-?[\d.]+)"\)\)`;
const LIST = String.raw`\[("[^"\\]*"(?:, "[^"\\]*")*)\]`;
const SIGNS: Record<string, string> = {
  '==': 'is',
  '!=': 'differs',
  '<': 'below',
  '<=': 'most',
  '>': 'above',
  '>=': 'least',
  lessThan: 'below',
  lessThanOrEqual: 'most',
  greaterThan: 'above',
  greaterThanOrEqual: 'least',
};
const SCOPES: Record<string, string> = { action: 'kind', resource: 'dataset', principal: 'submitter' };

type Reader = [RegExp, (found: string[]) => Omit<Condition, 'not'>];
const bare = (text: string) => text.replaceAll('"', '');
const READERS: readonly Reader[] = [
  [/^(action|resource|principal) == [A-Z][a-z]+::("[^"\\]*")$/, ([, scope = '', id = '']) => ({
    fact: SCOPES[scope] ?? scope,
    is: 'is',
    value: bare(id),
  })],
  [new RegExp(`^${FACT} (==|!=|<=?|>=?) ${VALUE}$`), ([, fact = '', sign = '', value = '']) => ({
    fact,
    is: SIGNS[sign] ?? sign,
    value: bare(value),
  })],
  [new RegExp(`^${FACT}\\.(lessThan|lessThanOrEqual|greaterThan|greaterThanOrEqual)${DECIMAL}$`), ([, fact = '', sign = '', value = '']) => ({
    fact,
    is: SIGNS[sign] ?? sign,
    value,
  })],
  [new RegExp(`^${LIST}\\.contains\\(${FACT}\\)$`), ([, list = '', fact = '']) => ({ fact, is: 'among', value: bare(list) })],
  [new RegExp(`^${LIST}\\.containsAll\\(${FACT}\\)$`), ([, list = '', fact = '']) => ({ fact, is: 'within', value: bare(list) })],
  [new RegExp(`^${FACT}\\.contains\\(${VALUE}\\)$`), ([, fact = '', value = '']) => ({ fact, is: 'contains', value: bare(value) })],
  [new RegExp(`^${FACT}\\.isEmpty\\(\\)$`), ([, fact = '']) => ({ fact, is: 'empty', value: '' })],
  [new RegExp(`^${FACT} like ${VALUE}$`), ([, fact = '', value = '']) => ({ fact, is: 'like', value: bare(value) })],
  [/^context has ([a-z_]+)$/, ([, fact = '']) => ({ fact, is: 'there', value: '' })],
  [new RegExp(`^${FACT}$`), ([, fact = '']) => ({ fact, is: 'true', value: '' })],
];

/** Reads a part of a policy; null where it is of another form. */
export function conditionOf(text: string): Condition | null {
  const not = /^!\((.*)\)$/.exec(text)?.[1] ?? /^!(context\..*)$/.exec(text)?.[1];
  for (const [form, read] of READERS) {
    const found = form.exec(not ?? text);
    if (found) return { ...read([...found]), not: not !== undefined };
  }
  return null;
}

type Say = { t: (key: string, facts?: Record<string, string>) => string; has: (key: string) => boolean };

/** A part of a policy in words of the page's language; as it is written, where it is of no usual form. */
export function conditionInWords(text: string, { t, has }: Say): string {
  const read = conditionOf(text);
  if (!read) return text;
  const known = `policies:fact.${read.fact}`;
  const fact = has(known) ? t(known) : read.fact;
  const word = read.fact === 'kind' ? `words:kind.${read.value}` : `words:protection.${read.value}`;
  const named = (read.fact === 'kind' || read.fact === 'protection') && has(word);
  const said = t(`policies:is.${read.is}`, { fact, value: named ? t(word) : read.value });
  return read.not ? t('policies:is.not', { said }) : said;
}
