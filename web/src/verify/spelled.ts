/** How Python spells a JSON value (`str`, `repr`): only in messages that quote a foreign value. */

import { Double, type Json } from './json';
import { escaped, isVisible } from './plain';

/** Return what Python's `str` gives. */
export function str(value: Json): string {
  return typeof value === 'string' ? value : repr(value);
}

/** Return what Python's `repr` gives. */
export function repr(value: Json): string {
  if (value === null) return 'None';
  if (value === true) return 'True';
  if (value === false) return 'False';
  if (typeof value === 'string') return quoted(value);
  if (typeof value === 'number') return String(value);
  if (value instanceof Double) return float(value.value);
  if (Array.isArray(value)) return `[${value.map(repr).join(', ')}]`;
  return `{${[...value].map(([name, one]) => `${quoted(name)}: ${repr(one)}`).join(', ')}}`;
}

/** Tell whether Python takes a value for true. */
export function truthy(value: Json): boolean {
  if (value instanceof Double) return value.value !== 0;
  if (Array.isArray(value)) return value.length > 0;
  return value instanceof Map ? value.size > 0 : Boolean(value);
}

function float(value: number): string {
  const [digits = '', power = '0'] = value.toExponential().split('e');
  const exponent = Number(power);
  if (exponent >= -4 && exponent < 16) {
    const text = value.toFixed(Math.max(0, digits.replace(/[-.]/g, '').length - 1 - exponent));
    const signed = Object.is(value, -0) ? `-${text}` : text;
    return signed.includes('.') ? signed : `${signed}.0`;
  }
  const sign = exponent < 0 ? '-' : '+';
  return `${digits}e${sign}${String(Math.abs(exponent)).padStart(2, '0')}`;
}

function quoted(text: string): string {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  let inner = '';
  for (const one of text) inner += spell(one, quote);
  return quote + inner + quote;
}

function spell(one: string, quote: string): string {
  if (one === quote || one === '\\') return `\\${one}`;
  if (one === '\n') return '\\n';
  if (one === '\r') return '\\r';
  if (one === '\t') return '\\t';
  return one === ' ' || isVisible(one) ? one : escaped(one);
}
