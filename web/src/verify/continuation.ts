/** How the members let a log continue under a new name (`secureflow.domain.continuation`). */

import { length } from './bytes';
import { canonicalText } from './canonical';
import { isObject, type Json, type JsonObject } from './json';
import { hasExactly } from './leaves';
import { hidden } from './plain';
import { hasLoneSurrogate } from './bytes';
import { publicKey } from './signatures';
import { Refusal, told, type Told } from './told';

export const MAX_CONTINUATIONS = 64;
const MAX_NOTE = 2048;
const MAX_REASON = 200;
const ROOT = /^[0-9a-f]{64}$/;
/** Visible ASCII without `+`. */
export const ORIGIN = /^[!-*,-~]{1,255}$/;
const ROLLBACK = ['note', 'origin', 'root', 'size', 'start', 'start_root'];
const CHANGE = ['log_key', ...ROLLBACK, 'reason'].sort();
const NAME = /^(.+?)(?:~([1-9][0-9]{0,8}))?$/su;

/** One rollback, or change of the log's key (`logKey` is not empty). */
export interface Continuation {
  readonly origin: string;
  readonly size: number;
  readonly root: string;
  readonly note: string;
  readonly start: number;
  readonly startRoot: string;
  readonly logKey: string;
  readonly reason: string;
  readonly json: JsonObject;
}

/** Build it from foreign JSON, its form and types unchecked as in Python: see `problem`. */
export function parseContinuation(value: Json): JsonObject {
  const changes = isObject(value) && value.has('log_key');
  const names = changes ? CHANGE : ROLLBACK;
  if (!isObject(value) || !hasExactly(value, names)) {
    throw malformed(told('a continuation needs exactly {names}', { names: names.join(', ') }));
  }
  if (changes && value.get('log_key') === '') {
    throw malformed(told("a continuation's log key is empty: leave it out"));
  }
  return value;
}

/** Refuse continuations that do not lead to this origin and key one after another. */
export function checkContinuations(
  origin: string,
  logKey: string,
  listed: readonly JsonObject[],
): Continuation[] {
  const found = listed.map(checked);
  const ended = found.filter((one) => one.logKey !== '').map((one) => one.logKey);
  if (new Set([...ended, logKey]).size !== ended.length + 1) {
    throw malformed(told('a log key that ended comes back'));
  }
  const steps = found.slice(1).map((after, at) => [found[at] as Continuation, after] as const);
  if (steps.some(([before, after]) => after.start <= before.start)) {
    throw malformed(told('a continuation starts before the first entry of an earlier one'));
  }
  const names = [...found.map((one) => one.origin), origin];
  names.slice(1).forEach((after, at) => {
    const before = names[at] as string;
    if (after !== following(before)) {
      throw malformed(told('{after} does not continue {before}', { after, before }));
    }
  });
  return found;
}

/** Return the key of each of a log's names. */
export function logKeys(
  origin: string,
  logKey: string,
  continuations: readonly Continuation[],
): Map<string, string> {
  const keys = new Map([[origin, logKey]]);
  let key = logKey;
  for (const one of [...continuations].reverse()) {
    key = one.logKey || key;
    keys.set(one.origin, key);
  }
  return keys;
}

/** Tell whether two continuations say the same. */
export function sameContinuation(a: Continuation, b: Continuation): boolean {
  return canonicalText(a.json) === canonicalText(b.json);
}

function checked(value: JsonObject): Continuation {
  const text = (name: string): string | null => {
    const one = value.has(name) ? value.get(name) : '';
    return typeof one === 'string' ? one : null;
  };
  const [origin, root, note] = [text('origin'), text('root'), text('note')];
  const [startRoot, logKey, reason] = [text('start_root'), text('log_key'), text('reason')];
  if (
    origin === null || root === null || note === null || startRoot === null || logKey === null ||
    reason === null || length(note) > MAX_NOTE || hasLoneSurrogate(note)
  ) {
    throw malformed(told("a continuation's texts must be strings that are not too long"));
  }
  if (!ORIGIN.test(origin)) {
    throw malformed(told("a continuation's origin needs 1-255 printable characters"));
  }
  const [size, start] = numbers(value, root, startRoot);
  const problem = keyProblem(logKey, reason, start === size);
  if (problem) throw malformed(told(problem));
  return { origin, size, root, note, start, startRoot, logKey, reason, json: value };
}

function numbers(value: JsonObject, root: string, startRoot: string): [number, number] {
  if (!ROOT.test(root) || !ROOT.test(startRoot)) {
    throw malformed(told("a continuation's root must be a hex SHA-256"));
  }
  const [size, start] = [value.get('size'), value.get('start')];
  if (typeof size !== 'number' || typeof start !== 'number') {
    throw malformed(told("a continuation's size must be an integer"));
  }
  if (start < 0 || start > size) {
    throw malformed(told('a continuation does not start at or before the old head'));
  }
  if (start === size && startRoot !== root) {
    throw malformed(told('a continuation that loses nothing has another root'));
  }
  return [size, start];
}

function keyProblem(logKey: string, reason: string, losesNothing: boolean): string {
  if (logKey === '') return reason ? 'a continuation has a reason and no key that ends' : '';
  if (publicKey(logKey) === null) return "a continuation's log key must be a base64 Ed25519 key";
  if (reason === '' || length(reason) > MAX_REASON || hidden(reason)) {
    return 'the reason of a new log key needs 1-200 printable characters';
  }
  return losesNothing
    ? ''
    : 'a continuation with a new log key loses entries: only one of both';
}

/** Return the origin that a continuation of this one starts (`secureflow.domain.origins`). */
function following(origin: string): string {
  const found = NAME.exec(origin);
  const number = Number(found?.[2] ?? 1);
  return number < 2 ? `${origin}~2` : `${found?.[1]}~${number + 1}`;
}

function malformed(reason: Told): Refusal {
  return new Refusal('malformed_charter', told('The charter is malformed: {reason}.', { reason }));
}
