import { generateKeyPairSync, sign } from 'node:crypto';
import { expect, test } from 'vitest';
import { base64, concat, hex, utf8 } from '../../verify/bytes';
import { canonicalText } from '../../verify/canonical';
import { isObject, parseJson, type JsonObject } from '../../verify/json';
import { commitment } from '../../verify/leaves';
import { leafHash } from '../../verify/merkle';
import { sha256 } from '../../verify/sha256';
import { Signatures, signedMessage } from '../../verify/signatures';
import { checkEntry, entryIn, type Proof } from './proof';

const ORIGIN = 'log.example';
const SALT = 'ab'.repeat(32);
const OTHER = leafHash(utf8('the entry before'));

function parsed(value: unknown): JsonObject {
  const made = parseJson(utf8(JSON.stringify(value)));
  if (!isObject(made)) throw new Error('no object');
  return made;
}

/** An entry that is the second of two, and the note over both. */
function made() {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const key = Buffer.from(publicKey.export({ format: 'jwk' }).x ?? '', 'base64url');
  const document = { who: 'usr_1', value: 0.5 };
  const salt = Uint8Array.from(Buffer.from(SALT, 'hex'));
  const leaf = {
    v: 1, kind: 'project.created', origin: ORIGIN, author: 'bank-a', at: 1000, job: '', spec: '',
    prev: '', commitment: commitment(salt, parsed(document)),
  };
  const signature = base64(sign(null, signedMessage('leaf', parsed(leaf)), privateKey));
  const signed = { leaf, key: base64(key), signature };
  const node = leafHash(utf8(canonicalText(parsed(signed))));
  const root = sha256(concat(Uint8Array.of(1), OTHER, node));
  const blob = base64(new Uint8Array(68));
  return {
    entry: { index: 1, hash: hex(node), leaf: signed, document, salt: SALT } as object,
    note: `${ORIGIN}\n2\n${base64(root)}\n\n\u2014 ${ORIGIN} ${blob}\n`,
  };
}

const { entry, note } = made();

async function check(changes: object, hashes = [hex(OTHER)]): Promise<Record<string, string>> {
  const changed = parsed({ ...entry, ...changes });
  const proof: Proof = await checkEntry(changed, note, hashes, await Signatures.ready());
  return Object.fromEntries(proof.checks.map((one) => [one.step, one.found]));
}

const ALL = { leaf: 'holds', signature: 'holds', document: 'holds', inclusion: 'holds' };

test('a true entry holds in every check', async () => {
  expect(await check({})).toEqual(ALL);
});

test('each change is found where it was made', async () => {
  expect(await check({ document: { who: 'usr_2', value: 0.5 } })).toEqual({ ...ALL, document: 'fails' });
  expect(await check({ salt: 'cd'.repeat(32) })).toEqual({ ...ALL, document: 'fails' });
  expect(await check({ hash: '00'.repeat(32) })).toEqual({ ...ALL, leaf: 'fails' });
  expect(await check({ index: 0 })).toEqual({ ...ALL, inclusion: 'fails' });
  expect(await check({}, [hex(OTHER), hex(OTHER)])).toEqual({ ...ALL, inclusion: 'fails' });
  expect(await check({}, ['xyz'])).toEqual({ ...ALL, inclusion: 'fails' });
  expect(await check({ leaf: { leaf: 1 } })).toMatchObject({ leaf: 'fails', signature: 'fails' });
});

test('a leaf that was signed by nobody fails, and is not in the tree', async () => {
  const leaf = (entry as { leaf: { leaf: object } }).leaf;
  const forged = { ...leaf, leaf: { ...leaf.leaf, author: 'bank-b' } };
  const found = await check({ leaf: forged });
  expect(found).toMatchObject({ leaf: 'fails', signature: 'fails', inclusion: 'fails' });
});

test('of an entry that is not for the caller only its place is shown', async () => {
  const bare = parsed({ index: 1, hash: (entry as { hash: string }).hash });
  const proof = await checkEntry(bare, note, [hex(OTHER)], await Signatures.ready());
  expect(proof.checks.map((one) => one.found)).toEqual(['hidden', 'hidden', 'hidden', 'holds']);
});

test('another entry than the one that was asked for is none', () => {
  const answer = JSON.stringify({ items: [entry], next: '' });
  expect(entryIn(answer, 1)?.get('index')).toBe(1);
  expect(entryIn(answer, 2)).toBeNull();
  expect(entryIn('{"items": []}', 1)).toBeNull();
});
