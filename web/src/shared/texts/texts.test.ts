/** The catalogues: the same keys in both languages, every used key there, none unused. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';
import { expect, test } from 'vitest';

const TEXTS = import.meta.dirname;
const SOURCE = join(TEXTS, '..', '..');
const KEY = /^([a-z]+):([A-Za-z0-9_.-]+)$/;
const OPEN = /^([a-z]+):([A-Za-z0-9_.-]*)$/;
const SAID = new Set(['title', 'label', 'placeholder', 'alt', 'aria-label', 'description', 'message']);

type Catalogue = Record<string, Record<string, string>>;

function catalogue(language: string): Catalogue {
  const folder = join(TEXTS, language);
  return Object.fromEntries(
    readdirSync(folder).map((name) => [
      name.replace('.json', ''),
      JSON.parse(readFileSync(join(folder, name), 'utf8')) as Record<string, string>,
    ]),
  );
}

const EN = catalogue('en');
const ZH = catalogue('zh');

/** A key without its form of number: Chinese has one form, English two. */
function bare(key: string): string {
  return key.replace(/_(one|other)$/, '');
}

function keys(texts: Catalogue): string[] {
  return Object.entries(texts).flatMap(([area, said]) =>
    Object.keys(said).map((key) => `${area}:${bare(key)}`),
  );
}

function sources(): ts.SourceFile[] {
  return readdirSync(SOURCE, { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.tsx?$/.test(name) && !/\.(test|d)\.tsx?$/.test(name))
    .map((name) => {
      const kind = name.endsWith('x') ? ts.ScriptKind.TSX : ts.ScriptKind.TS;
      const text = readFileSync(join(SOURCE, name), 'utf8');
      return ts.createSourceFile(name, text, ts.ScriptTarget.ES2022, true, kind);
    });
}

function* nodes(node: ts.Node): Generator<ts.Node> {
  yield node;
  const inner: ts.Node[] = [];
  ts.forEachChild(node, (child) => void inner.push(child));
  for (const child of inner) yield* nodes(child);
}

const FILES = sources();
const ALL = FILES.flatMap((file) => [...nodes(file)].map((node) => ({ file, node })));

/** Keys that stand in the source, and the beginnings of those that are put together there. */
function used(): { whole: Set<string>; begun: Set<string> } {
  const whole = new Set<string>();
  const begun = new Set<string>();
  for (const { node } of ALL) {
    if (ts.isStringLiteralLike(node) && KEY.test(node.text)) {
      const area = KEY.exec(node.text)?.[1] ?? '';
      if (area in EN) whole.add(node.text);
    }
    if (ts.isTemplateExpression(node) && OPEN.test(node.head.text)) {
      const area = OPEN.exec(node.head.text)?.[1] ?? '';
      if (area in EN) begun.add(node.head.text);
    }
  }
  return { whole, begun };
}

const USED = used();

test('both languages have the same areas and keys', () => {
  expect([...new Set(keys(ZH))].sort()).toEqual([...new Set(keys(EN))].sort());
});

test('every key that is used has a text', () => {
  const known = new Set(keys(EN));
  expect([...USED.whole].filter((key) => !known.has(key))).toEqual([]);
  const open = [...USED.begun].filter((head) => ![...known].some((key) => key.startsWith(head)));
  expect(open).toEqual([]);
});

test('every text is used', () => {
  const heads = [...USED.begun];
  const unused = keys(EN).filter(
    (key) => !USED.whole.has(key) && !heads.some((head) => key.startsWith(head)),
  );
  expect([...new Set(unused)]).toEqual([]);
});

test('English has both forms of number, Chinese the one it knows', () => {
  for (const [area, said] of Object.entries(EN)) {
    for (const key of Object.keys(said).filter((one) => one.endsWith('_one'))) {
      expect(said, `${area}:${key}`).toHaveProperty([`${bare(key)}_other`]);
    }
  }
  expect(Object.values(ZH).flatMap((said) => Object.keys(said).filter((k) => k.endsWith('_one')))).toEqual([]);
});

test('both languages say the same facts', () => {
  const facts = (text: string) => [...new Set(text.match(/\{\{\w+\}\}/g) ?? [])].sort();
  for (const [area, said] of Object.entries(EN)) {
    for (const [key, text] of Object.entries(said)) {
      const other = ZH[area]?.[key];
      if (other === undefined) continue;
      expect(facts(other), `${area}:${key}`).toEqual(facts(text));
    }
  }
});

test('a whole key is given to t: no text is said past the catalogue', () => {
  const wrong: string[] = [];
  for (const { file, node } of ALL) {
    const line = () => `${file.fileName}:${file.getLineAndCharacterOfPosition(node.getStart()).line + 1}`;
    if (ts.isJsxText(node) && /[A-Za-z\u4e00-\u9fff]{2}/.test(node.text) && !technical(node)) {
      wrong.push(`${line()} ${node.text.trim()}`);
    }
    if (ts.isJsxAttribute(node) && node.initializer && ts.isStringLiteral(node.initializer)) {
      const name = node.name.getText();
      if (SAID.has(name) && /[A-Za-z\u4e00-\u9fff]{2}/.test(node.initializer.text)) {
        wrong.push(`${line()} ${name}=${node.initializer.text}`);
      }
    }
    if (ts.isCallExpression(node) && node.expression.getText() === 't') {
      const [key] = node.arguments;
      if (key && ts.isStringLiteralLike(key) && !KEY.test(key.text)) wrong.push(`${line()} t(${key.text})`);
    }
  }
  expect(wrong).toEqual([]);
});

/** Names of keys and of the product, and what is code, are the same in every language. */
function technical(node: ts.JsxText): boolean {
  const tag = ts.isJsxElement(node.parent) ? node.parent.openingElement.tagName.getText() : '';
  return ['kbd', 'code', 'samp'].includes(tag) || /^(S|ecureFlow|SecureFlow)$/.test(node.text.trim());
}
