// The rules about contributions and money. Amounts are whole minor units and nothing is lost: each
// named member gets floor(amount * share / 10000), the member that takes the rounding what is left,
// and what the payer would owe itself is nobody's debt. Sums of many splits may be more than a JSON
// number holds, so debts are BigInt, kept as text.
//
// A debt is one key per payer, payee and currency: two splits that are decided in one block and
// concern the same three conflict, and the second is sent again. The sum is one read that way; a key
// per split would make a payment read them all.
'use strict';

const { Refused, WHOLE, digest } = require('./entries');
const { against, carried, counted, members, voted } = require('./members');

// Settle and confirm are what a closed place still takes: debts are paid where they were made.
const ALWAYS = new Set(['settle', 'confirm']);

// Returns true if the sender's vote is there, the same; throws if it voted otherwise.
async function repeated(kept, key, sender, wanted) {
    const before = await kept.get(...key, sender);
    if (before !== undefined && before !== wanted) {
        throw new Refused('different');
    }
    return before !== undefined;
}

async function setContributions(kept, entry, sender, now) {
    const { job, version, root, shares, rounding } = entry;
    const key = ['contributions', job, version];
    const wanted = digest(entry);
    if (await carried(kept, key, wanted)) {
        return { result: 'known' };
    }
    const again = await repeated(kept, key, sender, wanted);
    if (await kept.get('done', job)) {
        return against('already_split', again);
    }
    if (version <= ((await kept.get('standing', job))?.version ?? 0)) {
        return against('old_version', again);
    }
    const all = await members(kept);
    if (!entry.members.every((one) => Object.hasOwn(all, one))) {
        return against('no_member', again);
    }
    if (!await voted(kept, key, sender, wanted)) {
        return counted(again);
    }
    kept.put({ version, root, members: entry.members, shares, rounding, since: now }, 'standing', job);
    return { result: 'kept', brought: ['stands'] };
}

async function dispute(kept, entry, sender, now) {
    const { job, version, evidence } = entry;
    const key = ['dispute', job, version, sender];
    const before = await kept.get(...key);
    if (before) {
        if (before.evidence !== evidence) {
            throw new Refused('different');
        }
        return { result: 'known' };
    }
    const standing = await kept.get('standing', job);
    if (standing?.version !== version) {
        throw new Refused('not_standing');
    }
    if (now >= standing.since + (await kept.get('place')).window) {
        throw new Refused('window_over');
    }
    kept.put({ evidence, withdrawn: false }, ...key);
    kept.put(((await kept.get('disputes', job, version)) ?? 0) + 1, 'disputes', job, version);
    return { result: 'kept' };
}

async function withdraw(kept, entry, sender) {
    const { job, version } = entry;
    const key = ['dispute', job, version, sender];
    const before = await kept.get(...key);
    if (!before) {
        throw new Refused('no_dispute');
    }
    if (before.withdrawn) {
        return { result: 'known' };
    }
    kept.put({ ...before, withdrawn: true }, ...key);
    kept.put((await kept.get('disputes', job, version)) - 1, 'disputes', job, version);
    return { result: 'kept' };
}

// Returns why a job cannot be split: its contributions must have stood for the window.
async function whyNotYet(kept, { job, version, payer, amount }, standing, now) {
    if (await kept.get('done', job)) {
        return 'already_split';
    }
    if (standing?.version !== version) {
        return 'not_standing';
    }
    if (now < standing.since + (await kept.get('place')).window) {
        return 'window_open';
    }
    if (await kept.get('disputes', job, version)) {
        return 'disputed';
    }
    if (!Object.hasOwn(await members(kept), payer)) {
        return 'no_member';
    }
    return amount === 0 ? 'no_amount' : '';
}

async function split(kept, entry, sender, now) {
    const { job, version, payer, amount } = entry;
    const key = ['split', job, version];
    const wanted = digest(entry);
    if (await carried(kept, key, wanted)) {
        return { result: 'known' };
    }
    const again = await repeated(kept, key, sender, wanted);
    const standing = await kept.get('standing', job);
    const reason = await whyNotYet(kept, entry, standing, now);
    if (reason) {
        return against(reason, again);
    }
    if (!await voted(kept, key, sender, wanted)) {
        return counted(again);
    }
    kept.put(true, 'done', job);
    for (const [member, part] of parts(standing, BigInt(amount))) {
        await owe(kept, payer, member, entry.currency, part);
    }
    return { result: 'kept', brought: ['split'] };
}

function parts(standing, amount) {
    const each = new Map(standing.members.map((member, at) => (
        [member, (amount * BigInt(standing.shares[at])) / BigInt(WHOLE)]
    )));
    const given = [...each.values()].reduce((sum, one) => sum + one, 0n);
    each.set(standing.rounding, each.get(standing.rounding) + amount - given);
    return each;
}

const total = async (kept, type, ...who) => BigInt((await kept.get(type, ...who)) ?? '0');

async function owe(kept, payer, payee, currency, more) {
    if (payer !== payee && more !== 0n) {
        const sum = (await total(kept, 'owed', payer, payee, currency)) + more;
        kept.put(String(sum), 'owed', payer, payee, currency);
    }
}

async function settle(kept, entry, sender) {
    const { payee, amount, currency, reference } = entry;
    const key = ['payment', sender, reference];
    const before = await kept.get(...key);
    if (before) {
        if (before.payee !== payee || before.amount !== amount || before.currency !== currency) {
            throw new Refused('different');
        }
        return { result: 'known' };
    }
    if (amount === 0) {
        throw new Refused('no_amount');
    }
    const who = [sender, payee, currency];
    const stated = (await total(kept, 'stated', ...who)) + BigInt(amount);
    if (stated > await total(kept, 'owed', ...who)) {
        throw new Refused('not_owed');
    }
    kept.put({ payee, amount, currency, confirmed: false }, ...key);
    kept.put(String(stated), 'stated', ...who);
    return { result: 'kept' };
}

async function confirm(kept, entry, sender) {
    const key = ['payment', entry.payer, entry.reference];
    const payment = await kept.get(...key);
    if (payment?.payee !== sender) {
        throw new Refused('no_payment');
    }
    if (payment.confirmed) {
        return { result: 'known' };
    }
    const { amount, currency } = payment;
    const stated = (await total(kept, 'stated', entry.payer, sender, currency)) - BigInt(amount);
    kept.put({ ...payment, confirmed: true }, ...key);
    kept.put(String(stated), 'stated', entry.payer, sender, currency);
    await owe(kept, entry.payer, sender, currency, -BigInt(amount));
    return { result: 'kept' };
}

module.exports = { ALWAYS, confirm, dispute, setContributions, settle, split, total, withdraw };
