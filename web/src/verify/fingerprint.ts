/** A charter's fingerprint as people compare it (`Charter.fingerprint_words`). */

import { unhex, utf8 } from './bytes';
import { scrypt } from './scrypt';

const BYTES = 12;
const COST = 1 << 14;
const BLOCK_SIZE = 8;
/** The words of `secureflow.domain.fingerprintwords`: one word is one byte. */
const WORDS = `
acorn actor album amber anchor angel apple april arrow artist atlas autumn avenue badge bagel
balcony bamboo barrel basket beacon beaver bicycle blanket blossom bottle bracelet bread bridge
bronze bubble bucket buffalo butter cabin cactus camel candle canyon carbon castle cedar cello
chalk cherry chimney cinema circus clock cloud cobalt coconut coffee comet copper coral cotton
cousin crane crystal curtain cushion daisy dancer danger decade desert diamond dinner doctor
dolphin donkey dragon drawer drum eagle earth echo editor elephant eleven emerald engine equator
evening fabric falcon family farmer feather fiddle finger flame flute forest fossil fountain
frozen galaxy garden garlic gazelle ghost ginger giraffe glacier globe gravel guitar hammer harbor
harvest hazel helmet hermit hockey honey horizon hotel hunter igloo insect island ivory jacket
jaguar jasmine jelly jigsaw jungle kangaroo kettle kitchen kiwi koala ladder lagoon lantern lemon
leopard library lizard lobster lotus lunch magnet mango maple marble meadow melon mercury mirror
monkey morning mosaic museum napkin needle nickel north nugget oasis ocean olive onion opera
orange orchid ostrich otter oxygen oyster paddle palace panda paper parrot peach pebble pelican
pepper piano picnic pilot planet pocket poem polar potato pumpkin puzzle quartz queen rabbit radar
raven ribbon river robot rocket rooster ruby saddle salmon sandal satin scarf school senator
shadow shell silver singer sketch snow socks spider spoon spring squirrel stable statue summer
sunset swan tablet teacher temple thunder ticket tiger timber tomato tower tractor trumpet tulip
turtle umbrella uncle unicorn valley vanilla velvet violin volcano voyage walnut water whale
window winter wizard yellow yogurt zebra
`
  .trim()
  .split(/\s+/);

/** Return the twelve English words for a charter's digest. */
export function fingerprintWords(digest: string): string {
  return [...stretched(digest)].map((byte) => WORDS[byte]).join(' ');
}

/** Return the same 96 bits as groups of digits, for people who read Chinese. */
export function fingerprintDigits(digest: string): string {
  const number = stretched(digest).reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
  return number.toString().padStart(30, '0').match(/.{5}/g)?.join(' ') ?? '';
}

/** Stretched: a forger would need 2^48 of these to find two charters with one fingerprint. */
function stretched(digest: string): Uint8Array {
  const salt = utf8('secureflow/v1 charter fingerprint');
  return scrypt(unhex(digest), salt, COST, BLOCK_SIZE, BYTES);
}
