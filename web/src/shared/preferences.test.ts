import { expect, test } from 'vitest';
import { parsed, prefer, preferences, watchPreferences } from './preferences';

test('what is not understood counts as not said', () => {
  const plain = parsed(null);
  for (const text of ['{', '3', 'null', '{"language":"fr","theme":7,"density":{},"zone":1}']) {
    expect(parsed(text)).toEqual(plain);
  }
  expect(parsed('{"language":"zh","theme":"dark","zone":"UTC"}')).toMatchObject({
    language: 'zh',
    theme: 'dark',
    density: 'comfortable',
    zone: 'UTC',
  });
});

test('a change is told to who watches, until they end that', () => {
  let told = 0;
  const end = watchPreferences(() => told++);
  prefer({ density: 'compact' });
  expect([preferences().density, told]).toEqual(['compact', 1]);
  end();
  prefer({ density: 'comfortable' });
  expect(told).toBe(1);
});
