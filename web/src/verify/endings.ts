/** Reading the documents with which the centre and each party end a job. */

import { isObject, type Json, type JsonObject } from './json';
import { hasExactly } from './leaves';

export const FINISHED = 'finished';

const MAX_ENDS = 1024;
const NAMED = ['model', 'scores'] as const;
const DIGEST = /^[0-9a-f]{64}$/;
const OUTCOMES = new Set(['succeeded', 'failed', 'cancelled']);

/** The number of leaves that an author signed in a job, and the last one's hex hash or "". */
export interface End {
  readonly count: number;
  readonly last: string;
}

/** A party's end; `model`, `scores`: digests of the output and scores that it compared, or "". */
export interface Finished extends End {
  readonly outcome: string;
  readonly model: string;
  readonly scores: string;
}

/** The centre's end: how the job ended, and the end of each author. */
export interface Closed {
  readonly outcome: string;
  readonly ends: readonly { author: string; key: string; end: End }[];
}

/** Read a party's end; null if malformed. */
export function readFinished(document: Json): Finished | null {
  if (!isObject(document)) return null;
  const named = NAMED.filter((name) => document.has(name));
  if (!hasExactly(document, ['outcome', 'count', 'last', ...named])) return null;
  const end = readEnd(document);
  const outcome = readOutcome(document);
  if (end === null || outcome === null) return null;
  if (named.length > 0 && outcome !== 'succeeded') return null;
  const [model = '', scores = ''] = NAMED.map((name) => document.get(name) ?? '');
  const right = named.every((name) => DIGEST.test(String(document.get(name))));
  if (!right || typeof model !== 'string' || typeof scores !== 'string') return null;
  return { ...end, outcome, model, scores };
}

/** Whether it is the end of a party that signed nothing else in a job that failed. */
export function endsUnapproved(document: Json): boolean {
  const read = readFinished(document);
  return read !== null && read.count === 0 && read.outcome !== 'succeeded';
}

/** Read the centre's end; null if malformed. */
export function readClosed(document: Json): Closed | null {
  if (!isObject(document) || !hasExactly(document, ['outcome', 'ends'])) return null;
  const listed = document.get('ends');
  const outcome = readOutcome(document);
  if (!Array.isArray(listed) || listed.length > MAX_ENDS || outcome === null) return null;
  const ends: { author: string; key: string; end: End }[] = [];
  for (const one of listed) {
    if (!isObject(one) || !hasExactly(one, ['author', 'key', 'count', 'last'])) return null;
    const end = readEnd(one);
    const [author, key] = [one.get('author'), one.get('key')];
    if (end === null || typeof author !== 'string' || typeof key !== 'string') return null;
    ends.push({ author, key, end });
  }
  return { outcome, ends };
}

function readOutcome(document: JsonObject): string | null {
  const outcome = document.get('outcome');
  return typeof outcome === 'string' && OUTCOMES.has(outcome) ? outcome : null;
}

function readEnd(value: JsonObject): End | null {
  const [count, last] = [value.get('count'), value.get('last')];
  if (typeof count !== 'number' || count < 0 || typeof last !== 'string') return null;
  if ((count > 0) !== (last !== '') || (last !== '' && !DIGEST.test(last))) return null;
  return { count, last };
}
