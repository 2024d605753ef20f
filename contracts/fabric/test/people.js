// Members for tests: a charter key, and a certificate of an organisation's CA with an account's key.
'use strict';

const { generateKeyPairSync, sign } = require('node:crypto');
const { canonical } = require('../lib/entries');
const { accountOf } = require('../lib/identity');
const { CERTIFICATES } = require('./certificates');

const PLACE = 'fabric:audit:anchor';
const hex = (byte) => byte.toString(16).padStart(2, '0').repeat(32);
const halves = (bytes) => [bytes.subarray(0, 32).toString('hex'), bytes.subarray(32).toString('hex')];

function person(number, place = PLACE) {
    const { publicKey, privateKey } = generateKeyPairSync('ed25519');
    const member = publicKey.export({ type: 'spki', format: 'der' }).subarray(-32).toString('hex');
    const creator = { mspid: `Org${number}MSP`, idBytes: Buffer.from(CERTIFICATES[number]) };
    const account = accountOf(creator);
    const message = `secureflow anchor account v1\0${canonical({ place, member, account })}`;
    return { member, account, creator, signature: halves(sign(null, Buffer.from(message), privateKey)) };
}

const named = ({ member, account, signature }) => ({ member, account, signature });

module.exports = { PLACE, hex, named, person };
