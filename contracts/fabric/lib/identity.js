// Who sent a transaction, and who may speak for a charter key.
//
// An account is SHA-256 over MSP id and public key of the certificate, not over the certificate:
// certificates are renewed every year with the key kept, and the member stays itself. The MSP id is
// part of it so that only the organisation's own CA can vouch for its key: a key whose certificate
// that CA revoked does not come back with a certificate that another organisation's CA gave it.
'use strict';

const { X509Certificate, createPublicKey, verify } = require('node:crypto');
const { canonical, sha256 } = require('./entries');

const ACCOUNT = 'secureflow fabric account v1\0';
const BINDING = 'secureflow anchor account v1\0';
// SubjectPublicKeyInfo of an Ed25519 key without its 32 bytes (RFC 8410, section 4).
const ED25519 = Buffer.from('302a300506032b6570032100', 'hex');

function accountOf(creator) {
    const key = new X509Certificate(Buffer.from(creator.idBytes)).publicKey;
    const spki = key.export({ type: 'spki', format: 'der' });
    return sha256(ACCOUNT, creator.mspid, '\0', spki).toString('hex');
}

// Returns whether the charter key signed that this account of the place is its own.
function bound(place, member, account, signature) {
    const message = Buffer.from(BINDING + canonical({ place, member, account }));
    const key = Buffer.concat([ED25519, Buffer.from(member, 'hex')]);
    try {
        return verify(
            null, message, createPublicKey({ key, format: 'der', type: 'spki' }),
            Buffer.from(signature.join(''), 'hex'),
        );
    } catch {
        return false; // 32 bytes that are no point of the curve
    }
}

module.exports = { accountOf, bound };
