// A place that keeps heads and business events (the rules: `secureflow.engines.anchors.rules`).
//
//   init  {place, window, members}   once, with --init-required; members: [{member, account, signature}]
//   batch [entry, ...]               each judged alone, in their order: a result for each
//   KIND  {fields}                   one entry of that kind; refused, the transaction is refused
//   VIEW  {parameters}               see `views`
//
// There is no administrator, and whoever created a place has no role afterwards. The sender is the
// member whose account signed; a transaction of anybody else is not endorsed at all.
//
// Time is the transaction's, which its sender writes: Fabric has no time of a block. A peer endorses
// only what is within `SKEW` of its own clock, so that a sender can neither date a transaction
// into the past nor the future. Whether a peer endorses changes no result: what is endorsed is the
// same everywhere. What a sender can do is hold an endorsed transaction back; so whoever votes for a
// split waits for the window by its own clock as well (docs/fabric.md).
'use strict';

const shim = require('fabric-shim');
const { FIELDS, MAX_MEMBERS, Refused, digest, parsed, signature, word } = require('./entries');
const { accountOf, bound } = require('./identity');
const { Kept } = require('./kept');
const { admit, remove, upgrade } = require('./members');
const { ALWAYS, ...money } = require('./money');
const records = require('./records');
const views = require('./views');

const EVENT = 'secureflow';
const MOST_ENTRIES = 64;
const MOST_BYTES = 4 << 20;
const SKEW = 300;
const WINDOW = 10 * 365 * 86400;
const RULES = { ...records, ...money, admit, remove, upgrade };

function jsonOf(text, most) {
    if (typeof text !== 'string' || text.length > most) {
        throw new Refused('malformed');
    }
    try {
        return JSON.parse(text);
    } catch {
        throw new Refused('malformed');
    }
}

class Ledger {
    // `clock` gives milliseconds since 1970.
    constructor(clock = Date.now) {
        this.clock = clock;
    }

    async Init(stub) {
        return this.answered(stub, async (kept, given) => {
            const [name, text, ...more] = given;
            if (name !== 'init' || more.length) {
                throw new Refused('malformed');
            }
            return this.begun(kept, jsonOf(text, MOST_BYTES));
        });
    }

    async Invoke(stub) {
        return this.answered(stub, async (kept, given) => {
            const [name, text, ...more] = given;
            if (more.length) {
                throw new Refused('malformed');
            }
            if (Object.hasOwn(views, name)) {
                return views[name](kept, jsonOf(text || '{}', MOST_BYTES) ?? {});
            }
            const value = jsonOf(text, MOST_BYTES);
            if (name === 'batch') {
                return this.batch(kept, value);
            }
            if (!Object.hasOwn(FIELDS, name)) {
                throw new Refused('no_function');
            }
            const [only] = await this.batch(kept, [{ ...value, kind: name }]);
            if (only.result === 'refused') {
                throw new Refused(only.reason);
            }
            return only;
        });
    }

    async answered(stub, work) {
        try {
            const kept = new Kept(stub);
            const answer = await work(kept, stub.getStringArgs());
            await kept.flush();
            return shim.success(Buffer.from(JSON.stringify(answer)));
        } catch (error) {
            // Words of this chaincode, or those of a fault in it: nothing that a sender wrote.
            const word_ = error instanceof Refused ? `refused: ${error.message}` : `fault: ${error.name}`;
            return shim.error(word_);
        }
    }

    async begun(kept, given) {
        const { place, window, members } = given ?? {};
        const fits = typeof place === 'string' && /^fabric:[a-z0-9.-]{1,249}:[A-Za-z0-9_-]{1,128}$/.test(place)
            && place.split(':')[1] === kept.stub.getChannelID()
            && Number.isSafeInteger(window) && window >= 0 && window <= WINDOW
            && Array.isArray(members) && members.length > 0 && members.length <= MAX_MEMBERS
            && members.every((one) => word(one?.member) && word(one.account) && signature(one.signature));
        if (!fits) {
            throw new Refused('malformed');
        }
        if (await kept.get('place')) {
            throw new Refused('begun'); // whoever calls init again would put other members in
        }
        const all = {};
        for (const { member, account, signature: signed } of members) {
            if (Object.hasOwn(all, member) || await kept.get('account', account)) {
                throw new Refused('in_use');
            }
            if (!bound(place, member, account, signed)) {
                throw new Refused('not_bound');
            }
            all[member] = { account, signature: signed };
            kept.put(member, 'account', account);
        }
        kept.put(all, 'members');
        kept.put({ place, window }, 'place');
        return { result: 'kept' };
    }

    async batch(kept, entries) {
        if (!Array.isArray(entries) || entries.length === 0 || entries.length > MOST_ENTRIES) {
            throw new Refused('malformed');
        }
        const now = Number(kept.stub.getTxTimestamp().seconds);
        if (Math.abs(now - this.clock() / 1000) > SKEW) {
            throw new Refused('clock');
        }
        const account = accountOf(kept.stub.getCreator());
        if (!await kept.get('account', account)) {
            throw new Refused('stranger');
        }
        const results = [];
        const happened = [];
        for (const entry of entries) {
            const { sender, ...judged } = await this.judged(kept, entry, account, now);
            results.push(judged);
            if (judged.result !== 'known') {
                const refused = judged.result === 'refused';
                happened.push({ index: results.length - 1, sender, ...judged, ...(refused ? {} : { entry }) });
            }
        }
        // One event per transaction is what Fabric has, so it carries every entry and every result.
        const told = {
            at: now,
            results: results.map((one) => one.result),
            digests: results.map((one) => one.digest),
            happened: happened.map(({ digest: _, ...rest }) => rest),
        };
        kept.stub.setEvent(EVENT, Buffer.from(JSON.stringify(told)));
        return results;
    }

    async judged(kept, value, account, now) {
        // Looked up for each entry: the one before may have taken the sender out.
        const sender = await kept.get('account', account);
        let told = '';
        try {
            if (!sender) {
                throw new Refused('stranger');
            }
            const entry = parsed(value);
            told = digest(entry);
            // A late vote for the successor that the place has is known: `upgrade` looks.
            if (!ALWAYS.has(entry.kind) && entry.kind !== 'upgrade' && await kept.get('successor')) {
                throw new Refused('closed');
            }
            return { ...await RULES[entry.kind](kept, entry, sender, now), digest: told, sender };
        } catch (error) {
            if (!(error instanceof Refused)) {
                throw error;
            }
            return { result: 'refused', reason: error.message, digest: told, sender: sender ?? '' };
        }
    }
}

module.exports = { EVENT, Ledger, MOST_ENTRIES, SKEW };
