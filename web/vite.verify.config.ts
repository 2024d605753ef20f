/**
 * Builds the offline verifier: one HTML file that asks no network for anything.
 *
 * Script and style are inlined as they are, not minified, so that people can read them; the content
 * security policy allows exactly these two. Two builds of one tree are equal byte for byte.
 */
import { createHash } from 'node:crypto';
import { join, resolve } from 'node:path';
import { defineConfig, type Plugin } from 'vite';
import { catalogue } from './vite.catalogue.ts';

const HERE = import.meta.dirname;
const PLACE = resolve(HERE, '..', 'src', 'secureflow', 'cli', 'verifier');

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
