import { expect, test } from 'vitest';
import { base64, unbase64 } from './bytes';
import { Double } from './json';
import { repr } from './spelled';
import { told } from './told';

test('values are spelled as Python spells them', () => {
  const numbers: [number, string][] = [
    [1, '1.0'], [-0, '-0.0'], [1e16, '1e+16'], [123456789012345680, '1.2345678901234568e+17'],
    [1e15, '1000000000000000.0'], [0.0001, '0.0001'], [0.00001, '1e-05'], [5e-324, '5e-324'],
    [0.1, '0.1'], [-2.5, '-2.5'], [1e300, '1e+300'],
  ];
  for (const [value, text] of numbers) expect(repr(new Double(value))).toBe(text);
  expect(repr("it's")).toBe('"it\'s"');
  expect(repr('it\'s "x"')).toBe('\'it\\\'s "x"\'');
  expect(repr('\n\u0001\u202e\u{e0001}é')).toBe("'\\n\\x01\\u202e\\U000e0001é'");
  expect(repr([null, true, new Map([['a', 1]])])).toBe("[None, True, {'a': 1}]");
});

test('base64 has one form', () => {
  for (const size of [0, 1, 2, 3, 4, 32, 64]) {
    const data = Uint8Array.from({ length: size }, (_, at) => 255 - at);
    const text = base64(data);
    expect(text).toBe(Buffer.from(data).toString('base64'));
    expect(unbase64(text, 100)).toEqual(data);
  }
  for (const wrong of ['A', 'AB', 'AB=', 'AB==C', 'AB==\n', 'AC==', 'AAB=', '====', 'A===', 'AAA-', 'é===']) {
    expect(unbase64(wrong, 100)).toBeNull();
  }
  expect(unbase64('AAAA', 3)).toBeNull();
});

test('a text in another language keeps its facts, and the texts in them', () => {
  const inner = told('the key of {name}', { name: 'bank-a' });
  const text = told('{what} is {kind}', { what: inner, kind: '{what}' });
  expect(text.english).toBe('the key of bank-a is {what}');
  const words = new Map([['{what} is {kind}', '{kind}：{what}'], ['the key of {name}', '{name} 的密钥']]);
  expect(text.in((template) => words.get(template) ?? template)).toBe('{what}：bank-a 的密钥');
});
