import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { conditionInWords, conditionOf } from './conditions';

const SOURCE = join(import.meta.dirname, '../../shared/texts');

/** Says texts of a language as the pages do. */
function saying(language: string) {
  const read = (name: string) =>
    Object.entries(JSON.parse(readFileSync(join(SOURCE, language, `${name}.json`), 'utf8')) as Record<string, string>)
      .map(([key, text]) => [`${name}:${key}`, text] as const);
  const texts = new Map<string, string>([...read('policies'), ...read('words')]);
  return {
    has: (key: string) => texts.has(key),
    t: (key: string, facts: Record<string, string> = {}) =>
      (texts.get(key) ?? `MISSING ${key}`).replace(/\{\{(\w+)\}\}/g, (_, name: string) => facts[name] ?? ''),
  };
}

/** Parts of policies, as `secureflow policy explain` writes them. */
const PARTS = [
  'action == Action::"training"',
  'resource == Dataset::"adult"',
  'principal == User::"usr_a"',
  'context.purpose == "credit scoring"',
  'context.noise != "local"',
  'context has epsilon',
  'context.epsilon.lessThanOrEqual(decimal("1.0"))',
  'context.sensitive.isEmpty()',
  '!context.dp',
  'context.dp',
  'context.group_size >= 3',
  'context.rounds < 4',
  '["secagg", "sealed+secagg"].contains(context.protection)',
  '["a", "b"].containsAll(context.columns)',
  'context.columns.contains("age")',
  'context.purpose like "*marketing*"',
  '!(context.release == "operator")',
];

test.each(PARTS)('%s is told in words of both languages', (part) => {
  const [english, chinese] = ['en', 'zh'].map((one) => conditionInWords(part, saying(one)));
  for (const said of [english, chinese]) {
    expect(said).not.toMatch(/MISSING|context|Action::|decimal\(|\{\{|==/);
  }
  expect(chinese).toMatch(/[\u4e00-\u9fff]/);
  expect(english).not.toMatch(/[\u4e00-\u9fff]/);
});

test('what it says is what is written', () => {
  expect(conditionOf('!(context.rounds < 3)')).toEqual({ fact: 'rounds', is: 'below', value: '3', not: true });
  expect(conditionInWords('context.epsilon.lessThanOrEqual(decimal("0.5"))', saying('en'))).toBe('ε is at most 0.5');
  expect(conditionInWords('action == Action::"statistics"', saying('zh'))).toBe('任务类型为统计');
});

test.each(['context.dp || (context.rounds < 3)', '', 'x', 'context.purpose == "a" && context.dp', 'context.rounds < 3 + 1'])(
  '%s is of no usual form and stands as it is written',
  (part) => {
    expect(conditionOf(part)).toBeNull();
    expect(conditionInWords(part, saying('zh'))).toBe(part);
  },
);
