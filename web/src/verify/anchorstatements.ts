/**
 * What a member says it anchored, under its charter key (`secureflow.engines.anchors.statements`),
 * and the receipt of a file's keeper (`secureflow.engines.anchors.filed`).
 */

import { base64, unbase64, unhex } from './bytes';
import { canonicalBytes } from './canonical';
import { type Entry, parseEntry } from './anchorentries';
import { isObject, type Json, type JsonObject } from './json';
import { hasExactly } from './leaves';
import { type Signatures, signedMessage } from './signatures';
import { Refusal, told, type Told } from './told';

const MAX_STATEMENT = 32 << 10;
const MAX_RECEIPT_ENTRIES = 24;
const PLACE =
  /^(?:evm:(?:0|[1-9][0-9]{0,15}):0x[0-9a-f]{40}|fabric:[A-Za-z0-9._-]{1,200}:[A-Za-z0-9._-]{1,200}|file:[0-9a-f]{64})$/;
const TRANSACTION = /^[0-9a-f]{1,128}$/;
const WORD = /^[0-9a-f]{64}$/;
const BODY = ['v', 'place', 'entry', 'result', 'transaction', 'block', 'receipt', 'at'];
const RECEIPT = ['v', 'place', 'transaction', 'line', 'hash', 'at', 'entries', 'results', 'reasons'];
/** What a place keeps; a receipt may say `refused`, too. */
const KEPT = ['kept', 'known', 'fork'];
const REASONS = new Set([
  '', 'not_signed', 'stranger', 'closed', 'full', 'smaller', 'different', 'not_committed', 'over_cap',
  'in_use', 'not_bound', 'no_member', 'last_member', 'old_version', 'already_split', 'not_standing',
  'window_over', 'window_open', 'disputed', 'no_dispute', 'no_amount', 'not_owed', 'no_payment',
]);

/** One statement; its own key signed it. */
export interface Statement {
  readonly place: string;
  readonly entry: Entry;
  readonly result: string;
  readonly transaction: string;
  readonly block: number;
  readonly receipt: Json;
  readonly at: number;
  readonly key: string;
}

/** Parse a statement; throws a `Refusal`: `malformed_anchor`, `malformed_entry`, `not_canonical`. */
export async function parseStatement(value: Json, signatures: Signatures): Promise<Statement> {
  if (!isObject(value) || !hasExactly(value, ['body', 'key', 'signature'])) {
    throw malformed(told('it needs body, key and signature'));
  }
  const [body, key, signature] = [value.get('body'), value.get('key'), value.get('signature')];
  if (!isObject(body) || !hasExactly(body, BODY) || body.get('v') !== 1) {
    throw malformed(told('its body has other parts'));
  }
  const texts = [key, signature, ...['place', 'transaction', 'result'].map((name) => body.get(name))];
  const [keyText, signed, place, transaction, result] = texts.map(String);
  if (!texts.every((one) => typeof one === 'string')) {
    throw malformed(told('key, signature, place, transaction and result are texts'));
  }
  if (!PLACE.test(place ?? '') || !TRANSACTION.test(transaction ?? '')) {
    throw malformed(told('it names no place or no transaction'));
  }
  if (!KEPT.includes(result ?? '')) throw malformed(told('only what a place keeps is stated'));
  const [block, at] = [body.get('block'), body.get('at')];
  if (!isCount(block) || !isCount(at)) throw malformed(told('block and time are whole numbers'));
  if (canonicalBytes(body).length > MAX_STATEMENT) throw malformed(told('it is too long'));
  const message = signedMessage('anchor-statement', body);
  if (!(await signatures.holds(keyText ?? '', message, unbase64(signed ?? '', 128)))) {
    throw malformed(told('its key did not sign it'));
  }
  return {
    place: place ?? '',
    entry: parseEntry(body.get('entry') ?? null),
    result: result ?? '',
    transaction: transaction ?? '',
    block,
    receipt: body.get('receipt') ?? null,
    at,
    key: keyText ?? '',
  };
}

/** Return the base64 charter key of who keeps the file that a statement is about; null of a chain. */
export function keeperOf({ place }: Statement): string | null {
  return place.startsWith('file:') ? base64(unhex(place.slice('file:'.length))) : null;
}

/** Return why the receipt of a file is false; null if its keeper gave it of that deed. */
export async function whyReceiptFalse(
  said: Statement,
  keeper: string,
  signatures: Signatures,
): Promise<Told | null> {
  const receipt = await keptReceipt(said, keeper, signatures);
  if (receipt === null) return told('its keeper did not sign it');
  const same = receipt.get('transaction') === said.transaction && receipt.get('line') === said.block;
  const held = new Map<string, string>();
  const results = textsOf(receipt.get('results'));
  textsOf(receipt.get('entries')).forEach((one, at) => held.set(String(one), String(results[at])));
  if (same && held.get(said.entry.digest) === said.result) return null;
  return told('it is of another deed');
}

async function keptReceipt(
  said: Statement,
  keeper: string,
  signatures: Signatures,
): Promise<JsonObject | null> {
  const { receipt, place } = said;
  if (!isObject(receipt) || !hasExactly(receipt, ['body', 'signature'])) return null;
  const [body, signature] = [receipt.get('body'), receipt.get('signature')];
  if (!isObject(body) || typeof signature !== 'string' || !hasExactly(body, RECEIPT)) return null;
  if (body.get('v') !== 1 || body.get('place') !== place) return null;
  const message = signedMessage('anchor-receipt', body);
  if (!(await signatures.holds(keeper, message, unbase64(signature, 128)))) return null;
  return isSound(body) ? body : null;
}

function isSound(body: JsonObject): boolean {
  const entries = textsOf(body.get('entries'));
  const [results, reasons] = [textsOf(body.get('results')), textsOf(body.get('reasons'))];
  const words = [...textsOf([body.get('transaction') ?? null, body.get('hash') ?? null]), ...entries];
  if (!words.every((one) => one !== null && WORD.test(one))) return false;
  if (!results.every((one) => one !== null && [...KEPT, 'refused'].includes(one))) return false;
  if (!reasons.every((one) => one !== null && REASONS.has(one))) return false;
  if (entries.length !== results.length || results.length !== reasons.length) return false;
  return isCount(body.get('line')) && isCount(body.get('at'));
}

/** What is no text is null, and a list that is none, or too long, is one null. */
function textsOf(value: Json | undefined): (string | null)[] {
  if (!Array.isArray(value) || value.length > MAX_RECEIPT_ENTRIES) return [null];
  return value.map((one) => (typeof one === 'string' ? one : null));
}

function isCount(value: Json | undefined): value is number {
  return typeof value === 'number' && value >= 0;
}

export function malformed(reason: Told): Refusal {
  return new Refusal(
    'malformed_anchor',
    told('The statement about an anchor is malformed: {reason}.', { reason }),
  );
}
