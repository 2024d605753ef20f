/** Who accused whom in a job, as its author signed it (`secureflow.engines.ledger.accused`). */

import type { Bundle, Entry } from './bundle';
import { cut } from './bytes';
import type { Finding } from './findings';
import { isObject, type Json } from './json';
import { about } from './story';

const ACCUSATION = 'accusation';
const MOST = 16;
const LONGEST = 200;

/** One signed accusation; `round` is −1 and `stage` empty if it names none. */
export interface Accusation {
  readonly author: string;
  readonly against: readonly string[];
  readonly code: string;
  readonly round: number;
  readonly stage: string;
  readonly evidence: string;
}

/** Return the accusations of the bundle's job. Total: what is not text reads as empty. */
export function accusationsOf(bundle: Bundle): Accusation[] {
  return accusing(bundle)
    .filter((entry) => entry.opened)
    .map((entry) => {
      const document = isObject(entry.document) ? entry.document : new Map<string, Json>();
      const [named, number] = [document.get('against'), document.get('round')];
      return {
        author: entry.signed.leaf.author,
        against: Array.isArray(named) ? named.slice(0, MOST).map(text) : [],
        code: text(document.get('code')),
        round: typeof number === 'number' ? number : -1,
        stage: text(document.get('stage')),
        evidence: text(document.get('evidence')),
      };
    });
}

/** Return accusations without their document: the accused may have exported this bundle. */
export function withoutDocument(bundle: Bundle): Finding[] {
  return accusing(bundle)
    .filter((entry) => !entry.opened)
    .map((entry) =>
      about('accusations', entry, '{title}: the accusation comes without its document'),
    );
}

function accusing(bundle: Bundle): Entry[] {
  return bundle.entries.filter(
    ({ signed: { leaf } }) => leaf.job === bundle.job && leaf.kind === ACCUSATION,
  );
}

function text(value: Json | undefined): string {
  return typeof value === 'string' ? cut(value, LONGEST) : '';
}
