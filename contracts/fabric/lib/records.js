// The rules about logs, jobs, rounds and datasets. Whatever a repetition is judged by is looked at
// before anything else, so that an entry is repeated safely whatever happened since.
'use strict';

const { Refused, digest } = require('./entries');

const MOST_ROOTS = 64;
const MOST_ROUND_WORDS = 8;
const LARGEST = Number.MAX_SAFE_INTEGER;

// Greater sizes first, so that a range of keys begins with the newest head.
const descending = (size) => String(LARGEST - size).padStart(16, '0');
const ascending = (number) => String(number).padStart(16, '0');

async function anchor(kept, entry, sender, now) {
    const key = ['root', entry.log, descending(entry.size)];
    const roots = (await kept.get(...key)) ?? [];
    const same = ['head', digest(entry)];
    if (await kept.get(...same)) {
        return { result: 'known' };
    }
    const latest = (await kept.get('latest', entry.log, sender)) ?? 0;
    if (entry.size < latest) {
        throw new Refused('smaller');
    }
    const { root, signature } = entry;
    if (roots.some((one) => one.root === root)) {
        // Whoever comes first with a false signature must not keep the log's own one away.
        const once = ['other', entry.log, descending(entry.size), sender];
        if (await kept.get(...once)) {
            throw new Refused('other_signature');
        }
        kept.put(true, ...once);
        kept.put(true, ...same);
        kept.put(entry.size, 'latest', entry.log, sender);
        return { result: 'kept' };
    }
    if (roots.length >= MOST_ROOTS && entry.size === latest) {
        throw new Refused('full');
    }
    kept.put(true, ...same);
    const tx = kept.stub.getTxID();
    kept.put([...roots, { root, signature, sender, at: now, tx }], ...key);
    kept.put(entry.size, 'latest', entry.log, sender);
    if (roots.length === 0) {
        return { result: 'kept' };
    }
    kept.put(true, 'fork', entry.log, descending(entry.size));
    return { result: 'fork' };
}

async function registerJob(kept, entry) {
    const specs = (await kept.get('specs', entry.job)) ?? [];
    if (specs.includes(entry.spec)) {
        return { result: 'known' };
    }
    if (specs.length >= MOST_ROOTS) {
        throw new Refused('full');
    }
    kept.put([...specs, entry.spec], 'specs', entry.job);
    return { result: specs.length ? 'fork' : 'kept' };
}

async function approveJob(kept, entry, sender) {
    const key = ['approval', entry.job, entry.spec, sender];
    if (await kept.get(...key)) {
        return { result: 'known' };
    }
    kept.put(true, ...key);
    return { result: 'kept' };
}

async function commitDataset(kept, entry, sender) {
    const key = ['dataset', sender, entry.dataset];
    const before = await kept.get(...key);
    if (before) {
        if (before.commitment !== entry.commitment || before.cap !== entry.cap) {
            throw new Refused('different');
        }
        return { result: 'known' };
    }
    kept.put({ commitment: entry.commitment, cap: entry.cap }, ...key);
    return { result: 'kept' };
}

async function commitRound(kept, entry, sender) {
    const key = ['round', entry.job, ascending(entry.round), sender];
    const said = (await kept.get(...key)) ?? [];
    const wanted = digest(entry);
    if (said.includes(wanted)) {
        return { result: 'known' };
    }
    if (said.length >= MOST_ROUND_WORDS) {
        throw new Refused('full');
    }
    kept.put([...said, wanted], ...key);
    return { result: said.length ? 'fork' : 'kept' };
}

async function spend(kept, entry, sender) {
    const dataset = await kept.get('dataset', sender, entry.dataset);
    if (!dataset) {
        throw new Refused('not_committed');
    }
    const key = ['spend', sender, entry.dataset, entry.job];
    const before = await kept.get(...key);
    if (before !== undefined) {
        if (before !== entry.micro) {
            throw new Refused('different');
        }
        return { result: 'known' };
    }
    const total = ((await kept.get('spent', sender, entry.dataset)) ?? 0) + entry.micro;
    if (total > dataset.cap) { // both are below 2^53, and a sum that is rounded is above every cap
        throw new Refused('over_cap');
    }
    kept.put(entry.micro, ...key);
    kept.put(total, 'spent', sender, entry.dataset);
    return { result: 'kept' };
}

module.exports = {
    anchor, approveJob, ascending, commitDataset, commitRound, descending, registerJob, spend,
};
