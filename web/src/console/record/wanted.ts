/** What is searched for in the ledger; it stands in the address, to be sent to a colleague. */
import { http, type Schemas } from '../../api/client';

export type Entry = Schemas['Entry'];
export type Wanted = {
  /** Exact, or what it begins with if it ends with a full stop. */
  kind: string;
  author: string;
  job: string;
  /** Unix seconds; 0 for any. `until` is exclusive. */
  since: number;
  until: number;
  /** Any part of what an entry says; sought in this browser. */
  text: string;
};

const AT_ONCE = 200;
const MOST_PAGES = 5;

function seconds(text: string | null): number {
  const value = Number(text);
  return Number.isSafeInteger(value) && value > 0 ? value : 0;
}

/** Reads the search of an address. */
export function wantedOf(search: URLSearchParams): Wanted {
  return {
    kind: (search.get('kind') ?? '').toLowerCase().replace(/[^a-z_.]/g, '').slice(0, 64),
    author: search.get('author') ?? '',
    job: search.get('job') ?? '',
    since: seconds(search.get('since')),
    until: seconds(search.get('until')),
    text: (search.get('text') ?? '').trim(),
  };
}

/** What the centre searches for: all but the text, and only what is set. */
export function queryOf(wanted: Wanted): Record<string, string | number> {
  const { text: _, ...rest } = wanted;
  return Object.fromEntries(Object.entries(rest).filter(([, value]) => value));
}

/** Tells whether an entry says a text, in any of its parts. */
export function says(entry: Entry, text: string): boolean {
  if (!text) return true;
  const { index, kind, author, job, hash, document } = entry;
  const said = [String(index), kind, author, job, hash, JSON.stringify(document ?? '')].join(' ');
  return said.toLowerCase().includes(text.toLowerCase());
}

/**
 * Loads a page of the list. A text that is rare is sought in a thousand entries at a time: the page
 * may be short and have a next one.
 */
export async function loadEntries(
  wanted: Wanted,
  cursor: string,
): Promise<{ items: Entry[]; next: string }> {
  const items: Entry[] = [];
  let before = Number(cursor) || 0;
  for (let page = 0; page < MOST_PAGES; page += 1) {
    const query = { ...queryOf(wanted), limit: AT_ONCE, ...(before ? { before } : {}) };
    const { data } = await http.GET('/api/v1/audit/search', { params: { query } });
    items.push(...data!.items.filter((one) => says(one, wanted.text)));
    before = data!.next;
    if (!before || items.length >= AT_ONCE / 4) break;
  }
  return { items, next: before ? String(before) : '' };
}
