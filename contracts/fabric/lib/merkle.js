// RFC 9162, section 2.1.3.2: whether a leaf is in a tree of this size and root.
'use strict';

const { sha256 } = require('./entries');

const MAX_PATH = 64;
const NODE = Buffer.from([1]);

function included(leaf, index, size, path, root) {
    if (index >= size || path.length > MAX_PATH) {
        return false;
    }
    let [at, last] = [BigInt(index), BigInt(size) - 1n];
    let hash = Buffer.from(leaf, 'hex');
    for (const one of path.map((value) => Buffer.from(value, 'hex'))) {
        if (last === 0n) {
            return false;
        }
        if (at & 1n || at === last) {
            hash = sha256(NODE, one, hash);
            while (!(at & 1n) && at !== 0n) {
                [at, last] = [at >> 1n, last >> 1n];
            }
        } else {
            hash = sha256(NODE, hash, one);
        }
        [at, last] = [at >> 1n, last >> 1n];
    }
    return last === 0n && hash.toString('hex') === root;
}

module.exports = { MAX_PATH, included };
