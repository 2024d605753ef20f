/** The offline page: files in, verdict out. Nothing leaves the page, and nothing is kept. */

import './page.css';
import { Blake3 } from '../blake3';
import { resemblesBundle } from '../bundle';
import { fingerprintDigits, fingerprintWords } from '../fingerprint';
import { isObject, type Json, MAX_FILE_BYTES, parseJson } from '../json';
import { Refusal } from '../told';
import { parsePinned, type Pinned, type Verdict, verifyBundle } from '../verify';
import { make } from './dom';
import { type Lang, PAGE, say } from './texts';
import { drawOutput, drawVerdict, tell } from './view';

const FILES = ['bundle', 'charter', 'held', 'report', 'output'] as const;
type FileName = (typeof FILES)[number];
const LIMITS = [PAGE.limit1, PAGE.limit2, PAGE.limit3, PAGE.limit4, PAGE.limit5, PAGE.limit6];
const SPEC = /^[0-9a-f]{64}$/;

class Page {
  private lang: Lang = navigator.language.startsWith('zh') ? 'zh' : 'en';
  private readonly files = new Map<FileName, File>();
  private spec = '';
  private asked = 0;
  private readonly result = make('section', { id: 'result', 'aria-live': 'polite' });
  private readonly words = make('div', { id: 'words' });

  constructor(private readonly root: HTMLElement) {}

  start(): void {
    document.addEventListener('dragover', (event) => event.preventDefault());
    document.addEventListener('drop', (event) => {
      event.preventDefault();
      void this.dropped([...(event.dataTransfer?.files ?? [])]);
    });
    this.draw();
  }

  private draw(): void {
    const t = (pair: readonly [string, string]): string => say(pair, this.lang);
    document.documentElement.lang = this.lang;
    document.title = t(PAGE.title);
    const other = make('button', { type: 'button', id: 'language' }, t(PAGE.language));
    other.lang = this.lang === 'zh' ? 'en' : 'zh';
    other.addEventListener('click', () => {
      this.lang = this.lang === 'zh' ? 'en' : 'zh';
      this.draw();
      document.getElementById('language')?.focus();
    });
    const limits = LIMITS.map((one) => make('li', {}, t(one)));
    this.root.replaceChildren(
      make('header', {}, make('h1', {}, t(PAGE.title)), other),
      make('main', {},
        make('p', {}, t(PAGE.lead)),
        make('p', {}, t(PAGE.drop)),
        make('form', {}, this.field('bundle'), this.field('charter'), this.words, this.more()),
        this.result,
        make('h2', {}, t(PAGE.limits)),
        make('ul', { class: 'limits' }, ...limits)),
    );
    void this.judge();
  }

  private more(): HTMLElement {
    const input = make('input', { id: 'spec', type: 'text', autocomplete: 'off', spellcheck: 'false' });
    input.value = this.spec;
    input.addEventListener('change', () => {
      this.spec = input.value.trim().toLowerCase();
      void this.judge();
    });
    const spec = make('p', {}, make('label', { for: 'spec' }, say(PAGE.spec, this.lang)), input);
    const summary = make('summary', {}, say(PAGE.more, this.lang));
    const open = this.spec !== '' || this.files.has('held') || this.files.has('report') || this.files.has('output');
    return make('details', open ? { open: '' } : {}, summary, this.field('held'), spec,
      this.field('report'), this.field('output'));
  }

  private field(name: FileName): HTMLElement {
    const input = make('input', { id: name, type: 'file' });
    input.addEventListener('change', () => {
      const [file] = input.files ?? [];
      if (file !== undefined) this.files.set(name, file);
      void this.judge();
    });
    const label = make('label', { for: name }, say(PAGE[name], this.lang));
    const chosen = make('output', { for: name, id: `${name}-name` }, this.files.get(name)?.name ?? '');
    return make('p', {}, label, input, chosen);
  }

  /** Take dropped files for what they look like. */
  private async dropped(files: readonly File[]): Promise<void> {
    for (const file of files) this.files.set(await kindOf(file), file);
    this.draw();
  }

  private async judge(): Promise<void> {
    const asked = ++this.asked;
    for (const name of FILES) {
      const told = document.getElementById(`${name}-name`);
      if (told !== null) told.textContent = this.files.get(name)?.name ?? '';
    }
    this.result.replaceChildren(make('p', {}, say(PAGE.working, this.lang)));
    const drawn = await this.drawn();
    if (asked === this.asked) this.result.replaceChildren(...drawn);
  }

  private async drawn(): Promise<HTMLElement[]> {
    try {
      const pinned = await this.pinned();
      const verdict = await this.verdict(pinned);
      const parts = verdict === null ? [this.note(PAGE.nothing)] : drawVerdict(verdict, this.lang);
      const output = this.files.get('output');
      if (output !== undefined) parts.push(drawOutput(await blake3Of(output), verdict, this.lang));
      return parts;
    } catch (error) {
      if (error instanceof Refusal) return [this.wrong(tell(error.told, this.lang))];
      return [this.wrong(String(error))]; // a file that went away, or a fault of this page
    }
  }

  private async pinned(): Promise<Pinned | null> {
    this.words.replaceChildren();
    const file = this.files.get('charter');
    if (file === undefined) return null;
    const pinned = parsePinned(await read(file));
    const { digest } = pinned.charter;
    const words = this.lang === 'zh' ? fingerprintDigits(digest) : fingerprintWords(digest);
    this.words.replaceChildren(
      make('p', {}, `${say(PAGE.words, this.lang)}: `, make('strong', { id: 'fingerprint' }, words)),
      make('p', {}, say(PAGE.wordsHint, this.lang)),
    );
    return pinned;
  }

  private async verdict(pinned: Pinned | null): Promise<Verdict | null> {
    const file = this.files.get('bundle');
    if (file === undefined) return null;
    if (this.spec !== '' && !SPEC.test(this.spec)) throw new Error(say(PAGE.badSpec, this.lang));
    const value = await read(file);
    const kept = this.files.get('held');
    const held = kept === undefined ? null : await read(kept);
    const told = this.files.get('report');
    const report = told === undefined ? null : await read(told);
    if (!resemblesBundle(value) && held === null && this.spec === '') {
      throw new Error(say(PAGE.noBundle, this.lang));
    }
    return verifyBundle(value, { pinned, held, report, spec: this.spec });
  }

  private note(words: readonly [string, string]): HTMLElement {
    return make('p', {}, say(words, this.lang));
  }

  private wrong(text: string): HTMLElement {
    return make('p', { class: 'failed', role: 'alert', id: 'wrong' }, text.replace(/^Error: /, ''));
  }
}

async function read(file: File): Promise<Json> {
  const most = file.slice(0, MAX_FILE_BYTES + 1);
  return parseJson(new Uint8Array(await most.arrayBuffer()));
}

async function kindOf(file: File): Promise<FileName> {
  try {
    const value = await read(file);
    if (resemblesBundle(value)) return 'bundle';
    if (isObject(value) && value.has('charter')) return 'charter';
    if (isObject(value) && value.has('spec_digest')) return 'report';
    return Array.isArray(value) ? 'held' : 'output';
  } catch {
    return 'output'; // no JSON: a model, say
  }
}

async function blake3Of(file: File): Promise<Uint8Array> {
  const hasher = new Blake3();
  const reader = file.stream().getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return hasher.digest();
    hasher.update(value);
  }
}

const root = document.getElementById('page');
if (root !== null) new Page(root).start();
