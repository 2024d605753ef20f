/** What must hold for every file of the pages. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const SOURCE = import.meta.dirname;
const LINES = 300;
const HEAVY = /from '(echarts|@xyflow)|import\('(echarts|@xyflow)/;
/** What a first visit loads, or every page after it: no chart and no canvas in there. */
const EARLY = /^(shared|api|[a-z]+\/shell)\/|pages\.tsx$|main\.tsx$|registry\.ts$/;

const files = readdirSync(SOURCE, { recursive: true, encoding: 'utf8' })
  .filter((name) => /\.(ts|tsx|css)$/.test(name) && !name.endsWith('schema.d.ts'))
  .map((name) => ({ name, text: readFileSync(join(SOURCE, name), 'utf8') }));

const those = (wrong: (file: { name: string; text: string }) => boolean) =>
  files.filter(wrong).map((file) => file.name);

test('files are short', () => {
  expect(those((file) => file.text.split('\n').length > LINES + 1)).toEqual([]);
});

test('no type is given up, and nothing is drawn from strings', () => {
  const shut = /\bas any\b|: any\b|<any>|@ts-ignore|@ts-nocheck/;
  const raw = new RegExp(['dangerously', 'SetInnerHTML|insertAdjacent', 'HTML|\\beval\\('].join(''));
  expect(those((file) => file.name !== 'law.test.ts' && shut.test(file.text))).toEqual([]);
  expect(those((file) => file.name !== 'law.test.ts' && raw.test(file.text))).toEqual([]);
});

test('charts and the canvas come with the pages that need them', () => {
  expect(those((file) => EARLY.test(file.name) && HEAVY.test(file.text))).toEqual([]);
});

test('pages are loaded when they are visited', () => {
  const eager = files
    .filter((file) => file.name.endsWith('pages.tsx'))
    .filter((file) => /^import (?!type)/m.test(file.text));
  expect(eager.map((file) => file.name)).toEqual([]);
});
