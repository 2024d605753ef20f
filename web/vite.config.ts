import { readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { gzipSync } from 'node:zlib';
import react from '@vitejs/plugin-react';
import { defineConfig } from 'vitest/config';
import type { Plugin } from 'vite';
import { catalogue } from './vite.catalogue.ts';

/** Each entry is served by another process: the centre, and an organisation's own agent. */
const PLACES: Record<string, string> = {
  console: '../src/secureflow/server/console/dist',
  owner: '../src/secureflow/agent/console/dist',
};
const SQUEEZED = /\.(js|css|svg|json|html|txt)$/;

/** Names the page index.html and lays a .gz beside every file: the servers only copy bytes. */
function finished(entry: string, folder: string): Plugin {
  return {
    name: 'finished',
    apply: 'build',
    closeBundle() {
      renameSync(join(folder, `${entry}.html`), join(folder, 'index.html'));
      for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
        if (!SQUEEZED.test(name) || !name.startsWith('assets')) continue;
        const path = join(folder, name);
        writeFileSync(`${path}.gz`, gzipSync(readFileSync(path), { level: 9 }));
      }
    },
  };
}

export default defineConfig(({ mode }) => {
  const entry = mode === 'owner' ? 'owner' : 'console';
  const folder = resolve(import.meta.dirname, PLACES[entry] ?? '');
  return {
    base: './',
    plugins: [catalogue(), react(), finished(entry, folder)],
    // The servers put a nonce of every answer's own in its place.
    html: { cspNonce: '__NONCE__' },
    build: {
      target: 'es2022',
      outDir: folder,
      emptyOutDir: true,
      manifest: 'manifest.json',
      assetsInlineLimit: 0,
      chunkSizeWarningLimit: 700, // what a first visit loads is measured by a test
      modulePreload: { polyfill: false },
      rollupOptions: { input: resolve(import.meta.dirname, `${entry}.html`) },
    },
    server: { proxy: { '/api': { target: process.env['SECUREFLOW_CENTRE'] ?? 'https://127.0.0.1:8443', secure: false } } },
    test: {
      environment: 'node',
      include: ['src/**/*.test.{ts,tsx}'],
      testTimeout: 120_000, // how long honest work takes, the machine decides
    },
  };
});
