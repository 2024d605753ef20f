/**
 * Builds the offline verifier: one HTML file that asks no network for anything.
 *
 * Script and style are inlined as they are, not minified, so that people can read them; the content
 * security policy allows exactly these two. Two builds of one tree are equal byte for byte.
 */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { defineConfig, type Plugin } from 'vite';

const HERE = import.meta.dirname;
const SOURCE = join(HERE, 'src', 'verify');
const TABLES = join(HERE, '..', 'src', 'secureflow', 'texts', 'zh');
const CATALOGUE = 'virtual:catalogue';
const PLACE = resolve(HERE, '..', 'src', 'secureflow', 'cli', 'verifier');

/** The Chinese of each template that stands in the verifier's source. */
function catalogue(): Plugin {
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

const hashed = (text: string): string =>
  `'sha256-${createHash('sha256').update(text).digest('base64')}'`;

/** Puts script and style into the page, with the policy that allows nothing else. */
function oneFile(): Plugin {
  return {
    name: 'one-file',
    enforce: 'post',
    generateBundle(_, bundle) {
      let [page, script, style] = ['', '', ''];
      for (const [name, part] of Object.entries(bundle)) {
        const text = part.type === 'chunk' ? part.code : String(part.source);
        if (name.endsWith('.html')) page = text;
        else if (name.endsWith('.js')) script += text;
        else if (name.endsWith('.css')) style += text;
        else throw new Error(`${name} has no place in one file`);
        delete bundle[name];
      }
      if (/<\/(script|style)/i.test(script + style)) throw new Error('a tag ends too early');
      const policy = [
        "default-src 'none'", "connect-src 'none'", `script-src ${hashed(script)}`,
        `style-src ${hashed(style)}`, "base-uri 'none'", "form-action 'none'",
        "require-trusted-types-for 'script'", "trusted-types 'none'",
      ].join('; ');
      const source = page
        .replace(/\s*<script type="module"[^>]*><\/script>/g, '')
        .replace(/\s*<link rel="stylesheet"[^>]*>/g, '')
        .replace('<!--csp-->', () => `<meta http-equiv="Content-Security-Policy" content="${policy}" />`)
        .replace('</head>', () => `  <style>${style}</style>\n  </head>`)
        .replace('</body>', () => `  <script type="module">${script}</script>\n  </body>`);
      this.emitFile({ type: 'asset', fileName: 'verify.html', source });
      const digest = createHash('sha256').update(source).digest('hex');

      console.log(`SHA-256 of verify.html: ${digest}`);
    },
  };
}

export default defineConfig({
  base: './',
  publicDir: false,
  plugins: [catalogue(), oneFile()],
  build: {
    target: 'es2022',
    outDir: process.env['SECUREFLOW_VERIFIER_PLACE'] ?? PLACE,
    emptyOutDir: false,
    minify: false,
    cssMinify: false,
    modulePreload: { polyfill: false },
    rollupOptions: { input: join(HERE, 'verify.html') },
  },
});
