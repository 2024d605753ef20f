// Members, votes and the rules about both. Of n members, k = floor(2n/3) + 1 equal votes decide, and
// votes of those who are members at that moment count.
//
// A vote has a key of its own. Counting reads the same vote of every other member by its key: two
// members whose votes meet in one block conflict (the second would have counted without the first),
// and nothing else does.
'use strict';

const { MAX_MEMBERS, Refused, digest } = require('./entries');
const { bound } = require('./identity');

const members = async (kept) => (await kept.get('members')) ?? {};
const quorum = (count) => Math.floor((2 * count) / 3) + 1;

// Returns whether enough members voted so, the sender included, whose vote is kept by now.
async function decided(kept, key, wanted) {
    const names = Object.keys(await members(kept)).sort();
    let equal = 0;
    for (const one of names) {
        equal += (await kept.get(...key, one)) === wanted ? 1 : 0;
    }
    return equal >= quorum(names.length);
}

// Keeps the sender's vote: true if it decides. One that is there already is the caller's to judge.
async function voted(kept, key, sender, wanted) {
    kept.put(wanted, ...key, sender);
    return decided(kept, key, wanted);
}

// How often someone was taken out and in: votes of the time before are of another key. So votes to
// admit are forgotten once the member is taken out, those to remove once it is admitted again.
async function turns(kept, member) {
    return (await kept.get('turns', member)) ?? { admitted: 0, removed: 0 };
}

async function admit(kept, entry, sender) {
    const { member, account } = entry;
    const now = await turns(kept, member);
    const wanted = digest(entry);
    const key = ['admit', member, now.removed, wanted];
    if (await kept.get(...key, sender)) {
        return { result: 'known' };
    }
    const all = await members(kept);
    if (Object.hasOwn(all, member) || await kept.get('account', account)) {
        throw new Refused('in_use');
    }
    if (Object.keys(all).length >= MAX_MEMBERS) {
        throw new Refused('full');
    }
    const { place } = await kept.get('place');
    if (!bound(place, member, account, entry.signature)) {
        throw new Refused('not_bound');
    }
    if (!await voted(kept, key, sender, wanted)) {
        return { result: 'kept' };
    }
    const { signature } = entry;
    kept.put({ ...all, [member]: { account, signature } }, 'members');
    kept.put(member, 'account', account);
    kept.put({ ...now, admitted: now.admitted + 1 }, 'turns', member);
    return { result: 'kept', brought: ['admitted'] };
}

async function remove(kept, entry, sender) {
    const { member } = entry;
    const now = await turns(kept, member);
    const key = ['remove', member, now.admitted];
    if (await kept.get(...key, sender)) {
        return { result: 'known' };
    }
    const { [member]: gone, ...rest } = await members(kept);
    if (!gone) {
        throw new Refused('no_member');
    }
    if (Object.keys(rest).length === 0) {
        throw new Refused('last_member');
    }
    if (!await voted(kept, key, sender, true)) {
        return { result: 'kept' };
    }
    kept.put(rest, 'members');
    kept.put(undefined, 'account', gone.account);
    kept.put({ ...now, removed: now.removed + 1 }, 'turns', member);
    return { result: 'kept', brought: ['removed'] };
}

async function upgrade(kept, entry, sender) {
    const key = ['upgrade', entry.successor];
    if (await kept.get(...key, sender)) {
        return { result: 'known' };
    }
    if (!await voted(kept, key, sender, true)) {
        return { result: 'kept' };
    }
    kept.put(entry.successor, 'successor');
    return { result: 'kept', brought: ['closed'] };
}

module.exports = { admit, members, remove, upgrade, voted };
