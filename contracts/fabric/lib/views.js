// Questions that change nothing: evaluated, never submitted. A view takes and gives JSON.
'use strict';

const { Refused, digest, number, parsed, word } = require('./entries');
const { members } = require('./members');
const { MAX_PATH, included } = require('./merkle');
const { total } = require('./money');
const { ascending, descending } = require('./records');

const MOST = 1000;
const NEWEST = 32;
const LARGEST = Number.MAX_SAFE_INTEGER;

function must(holds) {
    if (!holds) {
        throw new Refused('malformed');
    }
}

async function place(kept) {
    return { ...await kept.get('place'), successor: await successor(kept), version: 1 };
}

const successor = async (kept) => (await kept.get('successor')) ?? '';

async function head(kept, { log }) {
    must(word(log));
    for await (const [size, roots] of kept.range('root', log)) {
        return { size: LARGEST - Number(size), root: roots[0].root };
    }
    return null;
}

async function roots(kept, { log, size }) {
    must(word(log) && number(size));
    return ((await kept.get('root', log, descending(size))) ?? []).map((one) => one.root);
}

// The newest heads of a log, and all its forks, at most `MOST` roots; the newest first.
async function heads(kept, { log }) {
    must(word(log));
    const found = new Map();
    let count = 0;
    const take = (size, kept_) => {
        if (!found.has(size) && count + kept_.length <= MOST) {
            found.set(size, kept_);
            count += kept_.length;
        }
    };
    for await (const [size] of kept.range('fork', log)) {
        take(size, await kept.get('root', log, size));
    }
    let newest = 0;
    for await (const [size, list] of kept.range('root', log)) {
        take(size, list);
        newest += 1;
        if (newest >= NEWEST) {
            break;
        }
    }
    return [...found].sort(([a], [b]) => (a < b ? -1 : 1)).flatMap(([size, list]) => (
        list.map((one) => ({ size: LARGEST - Number(size), ...one }))
    ));
}

async function approvals(kept, { job, spec }) {
    must(word(job) && word(spec));
    const all = await members(kept);
    const found = [];
    for await (const [member] of kept.range('approval', job, spec)) {
        if (Object.hasOwn(all, member)) {
            found.push(member);
        }
    }
    return found;
}

// How many of those who are members now said this very entry of a round.
async function agreed(kept, { entry }) {
    const { kind, job, round } = parsed(entry);
    must(kind === 'commitRound');
    const [all, wanted] = [await members(kept), digest(entry)];
    let count = 0;
    for await (const [member, said] of kept.range('round', job, ascending(round))) {
        count += Object.hasOwn(all, member) && said.includes(wanted) ? 1 : 0;
    }
    return count;
}

async function standing(kept, { job }) {
    must(word(job));
    return (await kept.get('standing', job)) ?? null;
}

async function owed(kept, { payer, payee, currency }) {
    must(word(payer) && word(payee) && word(currency));
    return String(await total(kept, 'owed', payer, payee, currency));
}

async function verify(kept, { leaf, index, size, path, root }) {
    must(word(leaf) && number(index) && number(size) && word(root));
    must(Array.isArray(path) && path.length <= MAX_PATH && path.every(word));
    return included(leaf, index, size, path, root);
}

module.exports = {
    agreed, approvals, head, heads, members, owed, place, roots, standing, successor, verify,
};
