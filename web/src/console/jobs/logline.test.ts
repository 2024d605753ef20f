import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { Language } from '../../shared/preferences';
import { kindWord, lineOf, type Words } from './logline';

const TEXTS = join(import.meta.dirname, '..', '..', 'shared', 'texts');

function wordsOf(language: Language): Words {
  const read = (area: string) =>
    JSON.parse(readFileSync(join(TEXTS, language, `${area}.json`), 'utf8')) as Record<string, string>;
  const texts: Record<string, Record<string, string>> = { jobs: read('jobs'), words: read('words') };
  const find = (key: string) => texts[key.split(':')[0] ?? '']?.[key.split(':')[1] ?? ''];
  const t = (key: string, facts: Record<string, unknown> = {}) =>
    (find(key) ?? key).replace(/{{(\w+)}}/g, (_, name: string) => String(facts[name]));
  return { t, has: (key) => find(key) !== undefined, language };
}

const ZH = wordsOf('zh');
const EN = wordsOf('en');
const event = (kind: string, data: Record<string, unknown>) => ({ id: 1, kind, at: 0, data });

test.each([
  ['state', { state: 'running', reason: '' }, '运行中', 'running'],
  ['done', { state: 'failed' }, '失败', 'failed'],
  ['party', { party: 'bank-c', state: 'approved' }, 'bank-c  已批准', 'bank-c  approved'],
  ['step', { number: 2, place: 2, step: 'train', state: 'started', job: 'job_1' }, 'train  已开始  job_1', 'train  started  job_1'],
  ['round', { round: 2, rounds: 9, auc: 0.75, survivors: 3 }, '第 2 轮，共 9 轮  AUC 0.7500', 'round 2 of 9  AUC 0.7500'],
  [
    'dropouts',
    { dropouts: [{ party: 'bank-c', round: 3, stage: 'update', code: 'party_silent', reason: '' }] },
    'bank-c 在第 3 轮退出：party_silent',
    'bank-c dropped out of round 3: party_silent',
  ],
  ['waiting', { waiting: [] }, '已无等待', 'nobody waits any more'],
  ['error', { code: 'x', message: 'Away.', hint: 'Look.' }, 'Away.  Look.', 'Away.  Look.'],
  ['new', { x: 1 }, '{"x":1}', '{"x":1}'],
])('an event of kind %s is told in words', (kind, data, zh, en) => {
  expect(lineOf(event(kind, data), ZH)).toBe(zh);
  expect(lineOf(event(kind, data), EN)).toBe(en);
});

test('the kind of an event is a word too, and its own name where it is not known', () => {
  expect([kindWord('party', ZH), kindWord('step', ZH), kindWord('later', ZH)]).toEqual(['参与方', '步骤', 'later']);
});
