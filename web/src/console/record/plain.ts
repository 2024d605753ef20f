/** A document of the ledger as people read it. */
import { Double, type Json } from '../../verify/json';
import { shown } from '../../verify/plain';

/** Indented JSON, in which what cannot be seen is escaped. */
export function spelled(value: Json, indent = ''): string {
  const inner = `${indent}  `;
  if (value instanceof Double) return String(value.value);
  if (typeof value === 'string') return shown(JSON.stringify(value));
  if (value === null || typeof value !== 'object') return String(value);
  const lines = Array.isArray(value)
    ? value.map((one) => inner + spelled(one, inner))
    : [...value].map(([name, one]) => `${inner}${shown(JSON.stringify(name))}: ${spelled(one, inner)}`);
  const [open, shut] = Array.isArray(value) ? ['[', ']'] : ['{', '}'];
  return lines.length ? `${open}\n${lines.join(',\n')}\n${indent}${shut}` : open + shut;
}
