/** The messages of the verifier in Chinese, for every page that verifies. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Plugin } from 'vite';

const HERE = import.meta.dirname;
const SOURCE = join(HERE, 'src', 'verify');
const TABLES = join(HERE, '..', 'src', 'secureflow', 'texts', 'zh');
const CATALOGUE = 'virtual:catalogue';

/** The Chinese of each template that stands in the verifier's source. */
export function catalogue(): Plugin {
  return {
    name: 'catalogue',
    resolveId: (id) => (id === CATALOGUE ? `\0${CATALOGUE}` : null),
    load(id) {
      if (id !== `\0${CATALOGUE}`) return null;
      const sources = readdirSync(SOURCE)
        .filter((name) => name.endsWith('.ts'))
        .map((name) => readFileSync(join(SOURCE, name), 'utf8'))
        .join('\n');
      const found: Record<string, string> = {};
      for (const table of ['kit.json', 'domain.json', 'engines.json']) {
        const texts = JSON.parse(readFileSync(join(TABLES, table), 'utf8')) as Record<string, string>;
        for (const [english, chinese] of Object.entries(texts)) {
          if (['\'', '"', '`'].some((quote) => sources.includes(quote + english + quote))) {
            found[english] = chinese;
          }
        }
      }
      return `export default ${JSON.stringify(found, null, 1)};`;
    },
  };
}
