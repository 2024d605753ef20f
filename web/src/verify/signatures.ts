/**
 * Ed25519 by WebCrypto, and the one signature format (`secureflow.kit.crypto`).
 *
 * A signature covers `"secureflow/v1" ‖ 0x0A ‖ kind ‖ 0x0A ‖ SHA-256(JCS(body))`.
 */

import { concat, hex, unbase64, utf8 } from './bytes';
import { canonicalBytes } from './canonical';
import type { Json } from './json';
import { sha256 } from './sha256';
import { Refusal, told } from './told';

const KEY_BYTES = 32;
const SIGNATURE_BYTES = 64;

/** Return the exact bytes that a signature of this kind over this body covers. */
export function signedMessage(kind: string, body: Json): Uint8Array {
  return concat(utf8(`secureflow/v1\n${kind}\n`), sha256(canonicalBytes(body)));
}

/** Return the 32 bytes of a base64 Ed25519 key, or null. */
export function publicKey(text: string): Uint8Array | null {
  const raw = unbase64(text, 64);
  return raw?.length === KEY_BYTES ? raw : null;
}

/** Checks signatures, each only once: entries and heads name the same ones again and again. */
export class Signatures {
  private readonly known = new Map<string, Promise<boolean>>();
  private readonly keys = new Map<string, Promise<CryptoKey | null>>();

  /** Throws a `Refusal` where this browser has no Ed25519: it would call every signature false. */
  static async ready(): Promise<Signatures> {
    const found = new Signatures();
    // The first test vector of RFC 8032, section 7.1: an empty message.
    const key = '11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=';
    const signature =
      '5VZDAMNgrHKQhuLMgG6CioSHfx645dl02HPgZSJJAVVfuIIVkKM7rMYeOXAc+bRr0lv18FlbviRlUUFDjnoQCw==';
    const holds = await found.holds(key, new Uint8Array(), unbase64(signature, 128));
    if (!holds) {
      throw new Refusal('unsupported', told('This browser cannot check Ed25519 signatures.'));
    }
    return found;
  }

  /** Tell whether a raw signature over a message holds under a base64 key. */
  holds(key: string, message: Uint8Array, signature: Uint8Array | null): Promise<boolean> {
    if (signature?.length !== SIGNATURE_BYTES) return Promise.resolve(false);
    const name = `${key} ${hex(signature)} ${hex(sha256(message))}`;
    const known = this.known.get(name) ?? this.check(key, message, signature);
    this.known.set(name, known);
    return known;
  }

  private async check(key: string, message: Uint8Array, signature: Uint8Array): Promise<boolean> {
    const loaded = this.keys.get(key) ?? load(key);
    this.keys.set(key, loaded);
    const usable = await loaded;
    if (usable === null) return false;
    return crypto.subtle.verify('Ed25519', usable, signature as BufferSource, message as BufferSource);
  }
}

async function load(key: string): Promise<CryptoKey | null> {
  const raw = publicKey(key);
  if (raw === null) return null;
  try {
    return await crypto.subtle.importKey('raw', raw as BufferSource, 'Ed25519', false, ['verify']);
  } catch {
    return null; // refused by this browser, or no point of the curve: nothing holds under it
  }
}
