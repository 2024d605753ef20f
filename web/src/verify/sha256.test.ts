import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { hex, utf8 } from './bytes';
import { scrypt } from './scrypt';
import { sha256 } from './sha256';

test('SHA-256 is that of Node for every length around its blocks, and for a long text', () => {
  for (const size of [...Array(301).keys(), 100_000]) {
    const data = Uint8Array.from({ length: size }, (_, at) => (at * 7 + size) % 256);
    expect(hex(sha256(data))).toBe(createHash('sha256').update(data).digest('hex'));
  }
  const inside = new Uint8Array(200).map((_, at) => at).subarray(3, 150);
  expect(hex(sha256(inside))).toBe(createHash('sha256').update(inside).digest('hex'));
});

test('scrypt gives the vectors of RFC 7914, section 12', () => {
  const first = '77d6576238657b203b19ca42c18a0497f16b4844e3074ae8dfdffa3fede21442';
  expect(hex(scrypt(utf8(''), utf8(''), 16, 1, 32))).toBe(first);
  const third = '7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2';
  expect(hex(scrypt(utf8('pleaseletmein'), utf8('SodiumChloride'), 16384, 8, 32))).toBe(third);
});
