/**
 * The charter that a reader pinned, and whether a later version follows from it
 * (`secureflow.domain.charter`).
 */

import { length, unbase64 } from './bytes';
import { digest } from './canonical';
import {
  checkContinuations, type Continuation, logKeys, MAX_CONTINUATIONS, ORIGIN, parseContinuation,
  sameContinuation,
} from './continuation';
import { isObject, type Json, type JsonObject } from './json';
import { hasExactly } from './leaves';
import { hidden } from './plain';
import { publicKey, type Signatures, signedMessage } from './signatures';
import { cut } from './bytes';
import { repr } from './spelled';
import { Refusal, told, type Told } from './told';

const MAX_MEMBERS = 1000;
const MAX_SIGNATURE = 128;
const RESERVED = new Set(['server', 'enclave', 'aggregator']);
const ORGANISATION = /^[a-z0-9][a-z0-9-]{0,62}$/;
const TRUST_DOMAIN = /^[a-z0-9](?:[a-z0-9._-]{0,253}[a-z0-9])?$/;
const DIGEST = /^[0-9a-f]{64}$/;
const FIELDS = ['log_key', 'members', 'origin', 'previous', 'trust_domain', 'version'];
const MEMBER_FIELDS = ['key', 'name', 'organisation'];

/** One organisation: slug, display name and base64 signing key. */
export interface Member {
  readonly organisation: string;
  readonly name: string;
  readonly key: string;
}

/** One version of the charter; `body` is what members sign, `digest` the SHA-256 over it. */
export interface Charter {
  readonly version: number;
  readonly trustDomain: string;
  readonly origin: string;
  readonly logKey: string;
  readonly members: readonly Member[];
  readonly previous: string;
  readonly continuations: readonly Continuation[];
  readonly keys: ReadonlyMap<string, string>;
  readonly logKeys: ReadonlyMap<string, string>;
  readonly body: JsonObject;
  readonly digest: string;
}

/** A charter with base64 signatures by organisation. */
export interface SignedCharter {
  readonly charter: Charter;
  readonly signatures: ReadonlyMap<string, string>;
}

/** Build a signed charter from foreign JSON; throws a `Refusal` with code `malformed_charter`. */
export function parseSignedCharter(value: Json): SignedCharter {
  const body = exact(value, ['charter', 'signatures'], 'signed charter');
  const signatures = body.get('signatures');
  if (!isObject(signatures) || signatures.size > MAX_MEMBERS) {
    throw malformed(
      told('signatures must be an object of at most {max_members} entries', {
        max_members: MAX_MEMBERS,
      }),
    );
  }
  const found = new Map<string, string>();
  for (const [name, one] of signatures) {
    if (typeof one !== 'string' || length(one) > MAX_SIGNATURE) {
      throw malformed(told('a signature must be a short string'));
    }
    found.set(name, one);
  }
  return { charter: parseCharter(body.get('charter') ?? null), signatures: found };
}

function parseCharter(value: Json): Charter {
  const continued = listedContinuations(value);
  const names = continued.length > 0 ? ['continuations', ...FIELDS] : FIELDS;
  const body = exact(value, names, 'charter');
  const listed = body.get('members');
  if (!Array.isArray(listed) || listed.length > MAX_MEMBERS) {
    throw malformed(
      told('members must be a list of at most {max_members} entries', { max_members: MAX_MEMBERS }),
    );
  }
  const lines = listed.map((one) => exact(one, MEMBER_FIELDS, 'member'));
  const head = checkedHead(body);
  const continuations = checkContinuations(head.origin, head.logKey, continued);
  const keys = logKeys(head.origin, head.logKey, continuations);
  const members = checkedMembers(lines, new Set(keys.values()));
  members.sort((a, b) => (a.organisation < b.organisation ? -1 : 1));
  const signed = signedBody(body, members);
  return {
    ...head,
    members,
    continuations,
    keys: new Map(members.map((one) => [one.organisation, one.key])),
    logKeys: keys,
    body: signed,
    digest: digest(signed),
  };
}

/** Return the body with its members in the order in which they are signed. */
function signedBody(body: JsonObject, members: readonly Member[]): JsonObject {
  const listed = members.map((one): JsonObject => new Map(Object.entries(one)));
  return new Map(body).set('members', listed);
}

function listedContinuations(value: Json): JsonObject[] {
  const listed = isObject(value) ? (value.get('continuations') ?? absent(value)) : [];
  if (!Array.isArray(listed) || listed.length > MAX_CONTINUATIONS) {
    throw malformed(
      told('continuations must be a list of at most {max_continuations} entries', {
        max_continuations: MAX_CONTINUATIONS,
      }),
    );
  }
  if (isObject(value) && value.has('continuations') && listed.length === 0) {
    throw malformed(told('continuations is empty: leave it out'));
  }
  return listed.map(parseContinuation);
}

function absent(value: JsonObject): Json {
  return value.has('continuations') ? null : [];
}

type Head = Pick<Charter, 'version' | 'trustDomain' | 'origin' | 'logKey' | 'previous'>;

function checkedHead(body: JsonObject): Head {
  const text = (name: string, form: RegExp): string => {
    const one = body.get(name);
    if (typeof one === 'string' && form.test(one)) return one;
    throw malformed(told('{name} is not as the format requires', { name }));
  };
  const trustDomain = text('trust_domain', TRUST_DOMAIN);
  const origin = text('origin', ORIGIN);
  const version = body.get('version');
  if (typeof version !== 'number' || version < 1 || version >= 2 ** 31) {
    throw malformed(told('version must be a positive integer'));
  }
  const previous = body.get('previous');
  if (typeof previous !== 'string' || !(previous === '' || DIGEST.test(previous))) {
    throw malformed(told('previous must be a hex SHA-256'));
  }
  if ((version === 1) !== (previous === '')) {
    throw malformed(told('previous must be empty in version 1 and only there'));
  }
  const logKey = checkedKey(body.get('log_key') ?? null, told('log_key'));
  return { version, trustDomain, origin, logKey, previous };
}

function checkedMembers(lines: readonly JsonObject[], logs: ReadonlySet<string>): Member[] {
  if (lines.length === 0) {
    throw malformed(told('there must be 1 to {max_members} members', { max_members: MAX_MEMBERS }));
  }
  const members = lines.map(checkedMember);
  if (new Set(members.map((one) => one.organisation)).size !== members.length) {
    throw malformed(told('an organisation is listed twice'));
  }
  // One key, one vote: otherwise an operator that shares a member's key would count twice.
  const keys = new Set([...members.map((one) => one.key), ...logs]);
  if (keys.size !== members.length + logs.size) {
    throw malformed(told('two members, or a member and the log, have the same key'));
  }
  return members;
}

function checkedMember(line: JsonObject): Member {
  const slug = line.get('organisation') ?? null;
  const name = line.get('name');
  if (typeof slug !== 'string' || !ORGANISATION.test(slug) || RESERVED.has(slug)) {
    throw malformed(told('{name!r:.80} cannot name an organisation', { name: cut(repr(slug), 80) }));
  }
  if (typeof name !== 'string' || name === '' || length(name) > 200 || hidden(name)) {
    throw malformed(
      told('the name of {organisation} must be a printable string of at most 200 characters', {
        organisation: slug,
      }),
    );
  }
  const what = told('the key of {organisation}', { organisation: slug });
  return { organisation: slug, name, key: checkedKey(line.get('key') ?? null, what) };
}

function checkedKey(key: Json, what: Told): string {
  if (typeof key === 'string' && publicKey(key) !== null) return key;
  throw malformed(told('{what} must be a base64 Ed25519 key', { what }));
}

/** Return the organisations, among organisation → key, whose signatures hold. */
export async function signersOf(
  signed: SignedCharter,
  keys: ReadonlyMap<string, string>,
  signatures: Signatures,
): Promise<string[]> {
  const message = signedMessage('charter', signed.charter.body);
  const found: string[] = [];
  for (const [organisation, signature] of signed.signatures) {
    const key = keys.get(organisation);
    const raw = unbase64(signature, MAX_SIGNATURE);
    if (key !== undefined && (await signatures.holds(key, message, raw))) found.push(organisation);
  }
  return found.sort();
}

/** Tell whether this many of a version's members may change it: more than two thirds. */
export function isChangeQuorum(signed: number, members: number): boolean {
  return 3 * signed > 2 * members;
}

/** Return why a signed version does not follow from the pinned one; null if it does. */
export async function whyNotNext(
  pinned: Charter,
  candidate: SignedCharter,
  signatures: Signatures,
): Promise<Told | null> {
  const next = candidate.charter;
  if (next.digest === pinned.digest) return null;
  if (next.version !== pinned.version + 1 || next.previous !== pinned.digest) {
    return told('Charter version {version} does not follow the pinned version {pinned_version}.', {
      version: next.version,
      pinned_version: pinned.version,
    });
  }
  if (next.trustDomain !== pinned.trustDomain) {
    return told('The new charter is for {trust_domain}, the pinned one for {pinned_trust_domain}.', {
      trust_domain: next.trustDomain,
      pinned_trust_domain: pinned.trustDomain,
    });
  }
  const signers = await signersOf(candidate, pinned.keys, signatures);
  if (!isChangeQuorum(signers.length, pinned.members.length)) {
    return told(
      'Charter version {version} has valid signatures of {count} of the {members_count} pinned members; it needs more than two thirds.',
      { version: next.version, count: signers.length, members_count: pinned.members.length },
    );
  }
  const reason = whyNotContinued(pinned, next);
  if (reason === null) return null;
  return told('The new charter does not follow the pinned one. {reason}', { reason });
}

function whyNotContinued(before: Charter, after: Charter): Told | null {
  const known = before.continuations;
  const added = after.continuations.length - known.length;
  const kept = known.every((one, at) => {
    const same = after.continuations[at];
    return same !== undefined && sameContinuation(one, same);
  });
  if (!kept || added > 1) return told('It leaves out or changes a continuation of the log.');
  const last = after.continuations.at(-1);
  if (added === 0 || last === undefined) {
    if (after.origin !== before.origin) {
      return told('It names another log without a continuation.');
    }
    if (after.logKey === before.logKey) return null;
    return told('It names another log key without saying where the old one ends.');
  }
  if (last.origin !== before.origin) {
    return told('It continues {origin}, and the log is {before}.', {
      origin: last.origin,
      before: before.origin,
    });
  }
  if (!sameMembers(before, after)) {
    return told("It continues the log and changes the log's key or members as well.");
  }
  if ((last.logKey || after.logKey) !== before.logKey) {
    return told('It ends another log key than the one in use.');
  }
  return null;
}

function sameMembers(a: Charter, b: Charter): boolean {
  return digest(a.body.get('members') ?? null) === digest(b.body.get('members') ?? null);
}

function exact(value: Json, names: readonly string[], what: string): JsonObject {
  if (!isObject(value) || !hasExactly(value, names)) {
    throw malformed(
      told('a {what} must have exactly {names}', { what, names: [...names].sort().join(', ') }),
    );
  }
  return value;
}

function malformed(reason: Told): Refusal {
  return new Refusal('malformed_charter', told('The charter is malformed: {reason}.', { reason }));
}
