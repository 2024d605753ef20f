// Members, votes and the rules about both. Of n members, k = floor(2n/3) + 1 equal votes decide, and
// votes of those who are members at that moment count.
//
// A vote has a key of its own. Counting reads the same vote of every other member by its key: two
// members whose votes meet in one block conflict (the second would have counted without the first),
// and nothing else does.
//
// Members who come or go change n and k, and no vote is counted then: a vote that is repeated is
// counted anew. One that was carried is known from then on, whoever says the same.
'use strict';

const { MAX_MEMBERS, Refused, digest } = require('./entries');
const { bound } = require('./identity');

const members = async (kept) => (await kept.get('members')) ?? {};
const quorum = (count) => Math.floor((2 * count) / 3) + 1;

// Returns whether this was carried: enough members voted so at some time.
const carried = (kept, key, wanted) => kept.get('carried', ...key, wanted);

// Keeps the sender's vote and counts; one that was kept before is counted anew. Returns whether
// enough of those who are members now voted so; the vote is carried then.
async function voted(kept, key, sender, wanted) {
    kept.put(wanted, ...key, sender);
    const names = Object.keys(await members(kept)).sort();
    let equal = 0;
    for (const one of names) {
        equal += (await kept.get(...key, one)) === wanted ? 1 : 0;
    }
    if (equal < quorum(names.length)) {
        return false;
    }
    kept.put(true, 'carried', ...key, wanted);
    return true;
}

// What becomes of a vote that is not carried yet: it is kept the first time.
const counted = (again) => ({ result: again ? 'known' : 'kept' });

// What becomes of a vote that cannot be taken now: one that was kept before does no harm.
function against(reason, again) {
    if (!again) {
        throw new Refused(reason);
    }
    return { result: 'known' };
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
    if (await carried(kept, key, wanted)) {
        return { result: 'known' };
    }
    const again = Boolean(await kept.get(...key, sender));
    const all = await members(kept);
    if (Object.hasOwn(all, member) || await kept.get('account', account)) {
        return against('in_use', again);
    }
    if (Object.keys(all).length >= MAX_MEMBERS) {
        return against('full', again);
    }
    const { place } = await kept.get('place');
    if (!bound(place, member, account, entry.signature)) {
        throw new Refused('not_bound');
    }
    if (!await voted(kept, key, sender, wanted)) {
        return counted(again);
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
    if (await carried(kept, key, true)) {
        return { result: 'known' };
    }
    const again = Boolean(await kept.get(...key, sender));
    const { [member]: gone, ...rest } = await members(kept);
    if (!gone) {
        throw new Refused('no_member');
    }
    if (Object.keys(rest).length === 0) {
        return against('last_member', again);
    }
    if (!await voted(kept, key, sender, true)) {
        return counted(again);
    }
    kept.put(rest, 'members');
    kept.put(undefined, 'account', gone.account);
    kept.put({ ...now, removed: now.removed + 1 }, 'turns', member);
    return { result: 'kept', brought: ['removed'] };
}

async function upgrade(kept, entry, sender) {
    const key = ['upgrade', entry.successor];
    const before = await kept.get('successor');
    if (before === entry.successor) {
        return { result: 'known' };
    }
    if (before) {
        throw new Refused('closed');
    }
    const again = Boolean(await kept.get(...key, sender));
    if (!await voted(kept, key, sender, true)) {
        return counted(again);
    }
    kept.put(entry.successor, 'successor');
    return { result: 'kept', brought: ['closed'] };
}

module.exports = { admit, against, carried, counted, members, remove, upgrade, voted };
