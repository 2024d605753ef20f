// The deeds that a place keeps, as `secureflow.engines.anchors.entries` has them: fields, their
// types and the digest. Everything that comes from a transaction is checked here before it is used.
'use strict';

const { createHash } = require('node:crypto');

const MAX_MEMBERS = 1000;
const WHOLE = 10000;
const WORD = /^[0-9a-f]{64}$/;

const word = (value) => typeof value === 'string' && WORD.test(value);
const number = (value) => Number.isSafeInteger(value) && value >= 0;
const list = (inner) => (value) =>
    Array.isArray(value) && value.length <= MAX_MEMBERS && value.every(inner);
const signature = (value) => list(word)(value) && value.length === 2;

const FIELDS = {
    anchor: { log: word, size: number, root: word, signature },
    registerJob: { job: word, spec: word },
    approveJob: { job: word, spec: word },
    commitDataset: { dataset: word, commitment: word, cap: number },
    commitRound: { job: word, round: number, aggregate: word, updates: word, attestation: word },
    spend: { dataset: word, job: word, micro: number },
    setContributions: {
        job: word, version: number, root: word, members: list(word), shares: list(number), rounding: word,
    },
    dispute: { job: word, version: number, evidence: word },
    withdraw: { job: word, version: number },
    split: { job: word, version: number, payer: word, amount: number, currency: word },
    settle: { payee: word, amount: number, currency: word, reference: word },
    confirm: { payer: word, reference: word },
    admit: { member: word, account: word, signature },
    remove: { member: word },
    upgrade: { successor: word },
};

const NOWHERE = '0'.repeat(64);

// An entry that is against the rules. The reason is a word of this chaincode, never of a sender.
class Refused extends Error {}

function whole(entry) {
    const { members, shares, rounding } = entry;
    const ascending = members.every((one, at) => at === 0 || members[at - 1] < one);
    return members.length > 0 && ascending && members.length === shares.length
        && shares.reduce((sum, one) => sum + one, 0) === WHOLE && members.includes(rounding);
}

// What a kind needs beside the types of its fields.
const NEEDED = { setContributions: whole, upgrade: ({ successor }) => successor !== NOWHERE };

// Returns an entry of these very fields, or throws Refused('malformed').
function parsed(value) {
    const known = value !== null && typeof value === 'object' && Object.hasOwn(FIELDS, value.kind);
    if (!known) {
        throw new Refused('malformed');
    }
    const fields = FIELDS[value.kind];
    const names = Object.keys(fields);
    const fits = Object.keys(value).length === names.length + 1
        && names.every((name) => Object.hasOwn(value, name) && fields[name](value[name]));
    const needed = Object.hasOwn(NEEDED, value.kind) ? NEEDED[value.kind] : () => true;
    if (!fits || !needed(value)) {
        throw new Refused('malformed');
    }
    return value;
}

// RFC 8785 for what occurs here: objects, lists, whole numbers and ASCII strings.
function canonical(value) {
    if (Array.isArray(value)) {
        return `[${value.map(canonical).join(',')}]`;
    }
    if (value !== null && typeof value === 'object') {
        const parts = Object.keys(value).sort()
            .map((name) => `${JSON.stringify(name)}:${canonical(value[name])}`);
        return `{${parts.join(',')}}`;
    }
    return JSON.stringify(value);
}

const sha256 = (...parts) => {
    const hash = createHash('sha256');
    parts.forEach((one) => hash.update(one));
    return hash.digest();
};

const digest = (entry) => sha256(canonical(entry)).toString('hex');

module.exports = { FIELDS, MAX_MEMBERS, Refused, WHOLE, canonical, digest, number, parsed, sha256, signature, word };
