/** Which of several forms a value has. */
import type { Catalogue, Schema } from './catalogue';
import { isMembers, type Json } from './json';
import { resolved, type Variant } from './schema';

/** Which of the variants a value has; the one that agrees in most members. */
export function variantOf(value: Json | undefined, variants: readonly Variant[], catalogue: Catalogue): Variant | undefined {
  const scored = variants.map((one) => ({ one, score: fit(value, one, catalogue) }));
  const best = scored.reduce<(typeof scored)[number] | null>(
    (most, each) => (each.score > (most?.score ?? 0) ? each : most),
    null,
  );
  return best?.one;
}

function fit(value: Json | undefined, variant: Variant, catalogue: Catalogue): number {
  const schema = resolved(variant.schema, catalogue.$defs);
  if ('const' in schema) return value === schema['const'] ? 1000 : 0;
  if (isMembers(value)) {
    if (schema['type'] !== 'object') return 0;
    const properties = (schema['properties'] ?? {}) as Record<string, Schema>;
    let score = 1;
    for (const [name, one] of Object.entries(value)) {
      const known = properties[name];
      if (!known) score -= 1;
      else if (!('const' in known)) score += 1;
      else if (known['const'] === one) score += 100;
      else return 0;
    }
    return Math.max(score, 0.5);
  }
  if (Array.isArray(value)) return schema['type'] === 'array' ? 1 : 0;
  if (typeof value === 'number') return ['number', 'integer'].includes(String(schema['type'])) ? 1 : 0;
  return typeof value === schema['type'] ? 1 : 0;
}
