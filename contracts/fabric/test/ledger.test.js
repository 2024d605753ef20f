'use strict';

const assert = require('node:assert/strict');
const test = require('node:test');
const { sha256 } = require('../lib/entries');
const { Ledger } = require('../lib/ledger');
const { Channel } = require('./stub');
const { PLACE, hex, named, person } = require('./people');

const NOW = 1_800_000_000;
const WINDOW = 100;
const EUR = Buffer.from('EUR').toString('hex').padEnd(64, '0');

// A place with members, whose clock is where a test puts it.
class World {
    constructor(count = 4) {
        this.now = NOW;
        this.channel = new Channel();
        this.ledger = new Ledger(() => this.now * 1000);
        this.people = [...Array(count).keys()].map((one) => person(one));
    }

    async begin(members = this.people) {
        const given = { place: PLACE, window: WINDOW, members: members.map(named) };
        return this.run(this.people[0], ['init', JSON.stringify(given)], { init: true });
    }

    async simulate(who, args, more = {}) {
        const asked = { creator: who.creator, args, seconds: this.now, ...more };
        return this.channel.simulate(this.ledger, asked);
    }

    async run(who, args, more = {}) {
        const { response, stub } = await this.simulate(who, args, more);
        if (response.status !== 200) {
            return response.message;
        }
        assert.deepEqual(this.channel.commit(stub), ['VALID']);
        this.event = stub.event?.payload;
        return JSON.parse(response.payload.toString());
    }

    async send(who, ...entries) {
        const results = await this.run(who, ['batch', JSON.stringify(entries)]);
        return results.map((one) => one.reason ?? [one.result, ...(one.brought ?? [])].join(' '));
    }

    async ask(name, parameters = {}) {
        return this.run(this.people[0], [name, JSON.stringify(parameters)]);
    }
}

async function world(count = 4) {
    const made = new World(count);
    assert.deepEqual(await made.begin(), { result: 'kept' });
    return made;
}

const anchor = (size, root) => (
    { kind: 'anchor', log: hex(1), size, root: hex(root), signature: [hex(0), hex(0)] }
);
const shares = (people, version = 1) => ({
    kind: 'setContributions', job: hex(5), version, root: hex(6),
    members: people.map((one) => one.member).sort(), shares: [3333, 3333, 3334],
    rounding: people.map((one) => one.member).sort()[0],
});

test('a place begins once, with bindings that hold and nothing else', async () => {
    const made = new World();
    const [first, second] = made.people;
    assert.equal(await made.begin([{ ...first, signature: second.signature }]), 'refused: not_bound');
    assert.equal(await made.begin([first, first]), 'refused: in_use');
    const [own, other] = [first, person(0)]; // two members of one account
    assert.equal(await made.begin([own, other]), 'refused: in_use');
    const twice = { ...second, member: first.member };
    assert.equal(await made.begin([first, twice]), 'refused: in_use');
    assert.equal(await made.begin([]), 'refused: malformed');
    const given = JSON.stringify({ place: PLACE, window: WINDOW, members: made.people.map(named) });
    for (const args of [['begin', given], ['init', given, 'more'], ['init']]) {
        assert.equal(await made.run(first, args, { init: true }), 'refused: malformed');
    }
    await made.begin();
    assert.equal(await made.begin([first]), 'refused: begun');
    const told = await made.ask('place');
    assert.deepEqual(told, { place: PLACE, window: WINDOW, successor: '', version: 1 });
});

test('a place of another channel is none', async () => {
    const made = new World();
    made.channel.name = 'other';
    assert.equal(await made.begin(), 'refused: malformed');
});

test('whoever is no member sends nothing, whatever the MSP', async () => {
    const made = await world();
    const stranger = person(4);
    const args = ['batch', JSON.stringify([anchor(1, 1)])];
    assert.equal(await made.run(stranger, args), 'refused: stranger');
    const { idBytes } = made.people[0].creator;
    const other = { creator: { mspid: 'OtherMSP', idBytes } };
    assert.equal(await made.run(other, args), 'refused: stranger');
});

test('a transaction that is dated into past or future is not endorsed', async () => {
    const made = await world();
    const args = ['batch', JSON.stringify([anchor(1, 1)])];
    for (const seconds of [NOW - 301, NOW + 301]) {
        assert.equal(await made.run(made.people[0], args, { seconds }), 'refused: clock');
    }
    assert.equal((await made.run(made.people[0], args, { seconds: NOW - 299 }))[0].result, 'kept');
});

test('heads: a false signature that came first keeps the true one not away', async () => {
    const made = await world();
    const [a, b] = made.people;
    const signed = (one) => ({ ...anchor(5, 1), signature: [hex(one), hex(one)] });
    assert.deepEqual(await made.send(a, signed(7)), ['kept']);
    assert.deepEqual(await made.send(b, signed(8), signed(8), signed(9)), ['kept', 'known', 'other_signature']);
    assert.deepEqual(made.event.happened[0].entry.signature, [hex(8), hex(8)]);
    assert.deepEqual(await made.send(a, signed(8)), ['known']);
    assert.deepEqual(await made.send(a, signed(9), signed(10)), ['kept', 'other_signature']);
    assert.deepEqual(await made.ask('roots', { log: hex(1), size: 5 }), [hex(1)]);
    assert.equal((await made.ask('heads', { log: hex(1) })).length, 1);
});

test('heads: known, forked and shrinking ones', async () => {
    const made = await world();
    const [a, b] = made.people;
    const within = [anchor(5, 1), anchor(5, 1), anchor(5, 2), anchor(4, 3), anchor(7, 4)];
    assert.deepEqual(await made.send(a, ...within), ['kept', 'known', 'fork', 'smaller', 'kept']);
    assert.deepEqual(made.event.results, ['kept', 'known', 'fork', 'refused', 'kept']);
    assert.deepEqual(made.event.happened.map((one) => one.index), [0, 2, 3, 4]);
    assert.equal(made.event.happened[0].sender, a.member);
    assert.deepEqual(await made.send(b, anchor(4, 3), anchor(5, 1)), ['kept', 'known']);
    assert.deepEqual(await made.ask('head', { log: hex(1) }), { size: 7, root: hex(4) });
    assert.deepEqual(await made.ask('roots', { log: hex(1), size: 5 }), [hex(1), hex(2)]);
    const heads = await made.ask('heads', { log: hex(1) });
    assert.deepEqual(heads.map((one) => one.size), [7, 5, 5, 4]);
});

test('a fork is shown however old it is', async () => {
    const made = await world();
    const [a] = made.people;
    await made.send(a, anchor(1, 1), anchor(1, 2));
    await made.send(a, ...[...Array(40).keys()].map((at) => anchor(at + 2, 1)));
    const heads = await made.ask('heads', { log: hex(1) });
    assert.equal(heads.length, 34);
    assert.deepEqual(heads.slice(-2).map((one) => [one.size, one.root]), [[1, hex(1)], [1, hex(2)]]);
});

test('two members that anchor different heads do not conflict, of one size they do', async () => {
    const made = await world();
    const [a, b] = made.people;
    const simulated = async (who, entry) => (
        (await made.simulate(who, ['batch', JSON.stringify([entry])])).stub
    );
    const apart = [await simulated(a, anchor(5, 1)), await simulated(b, anchor(6, 1))];
    assert.deepEqual(made.channel.commit(...apart), ['VALID', 'VALID']);
    const same = [await simulated(a, anchor(9, 1)), await simulated(b, anchor(9, 2))];
    assert.deepEqual(made.channel.commit(...same), ['VALID', 'MVCC_READ_CONFLICT']);
});

test('votes of one block cannot both be the second but last', async () => {
    const made = await world(3); // all three decide
    const vote = ['batch', JSON.stringify([shares(made.people)])];
    const stubs = [];
    for (const who of made.people) {
        stubs.push((await made.simulate(who, vote)).stub);
    }
    const codes = made.channel.commit(...stubs);
    assert.deepEqual(codes, ['VALID', 'MVCC_READ_CONFLICT', 'MVCC_READ_CONFLICT']);
    assert.deepEqual(await made.send(made.people[1], shares(made.people)), ['kept']);
    assert.deepEqual(await made.send(made.people[2], shares(made.people)), ['kept stands']);
});

test('from contributions to a confirmed payment, to the minor unit', async () => {
    const made = await world(3);
    const { people } = made;
    const [payer] = people;
    const split = {
        kind: 'split', job: hex(5), version: 1, payer: payer.member, amount: 9007199254740991, currency: EUR,
    };
    for (const who of people) {
        await made.send(who, shares(people));
    }
    const since = made.now;
    assert.deepEqual(await made.send(payer, split), ['window_open']);
    const dispute = { kind: 'dispute', job: hex(5), version: 1, evidence: hex(9) };
    assert.deepEqual(await made.send(people[1], dispute), ['kept']);
    made.now = since + WINDOW;
    assert.deepEqual(await made.send(people[2], dispute), ['window_over']);
    assert.deepEqual(await made.send(payer, split), ['disputed']);
    assert.deepEqual(await made.send(people[1], { kind: 'withdraw', job: hex(5), version: 1 }), ['kept']);
    assert.deepEqual(await made.send(payer, split, split), ['kept', 'known']);
    assert.deepEqual(await made.send(people[1], { ...split, amount: 1 }, split), ['kept', 'different']);
    assert.deepEqual(await made.send(people[2], split), ['kept']); // two equal votes of three
    assert.equal(await made.ask('owed', { payer: payer.member, payee: people[1].member, currency: EUR }), '0');
});

test('a split is owed exactly, and a payment is owed no more once its payee confirms it', async () => {
    const made = await world(3);
    const { people } = made;
    const [payer] = people;
    const amount = 9007199254740991;
    for (const who of people) {
        await made.send(who, shares(people));
    }
    made.now += WINDOW;
    const split = {
        kind: 'split', job: hex(5), version: 1, payer: payer.member, amount, currency: EUR,
    };
    const said = [];
    for (const who of people) {
        said.push(...await made.send(who, split));
    }
    assert.deepEqual(said, ['kept', 'kept', 'kept split']);
    const sorted = people.map((one) => one.member).sort();
    const parts = new Map([3333n, 3333n, 3334n].map((share, at) => (
        [sorted[at], (BigInt(amount) * share) / 10000n]
    )));
    const rest = BigInt(amount) - [...parts.values()].reduce((a, b) => a + b);
    parts.set(sorted[0], parts.get(sorted[0]) + rest);
    for (const who of people.slice(1)) {
        const owed = await made.ask('owed', { payer: payer.member, payee: who.member, currency: EUR });
        assert.equal(owed, String(parts.get(who.member)));
    }
    const payee = people[1];
    const part = Number(parts.get(payee.member));
    const paid = { kind: 'settle', payee: payee.member, amount: part, currency: EUR, reference: hex(8) };
    const more = { ...paid, amount: 1, reference: hex(7) };
    assert.deepEqual(await made.send(payer, paid, more, paid), ['kept', 'not_owed', 'known']);
    const confirm = { kind: 'confirm', payer: payer.member, reference: hex(8) };
    assert.deepEqual(await made.send(payer, confirm), ['no_payment']);
    assert.deepEqual(await made.send(payee, confirm, confirm), ['kept', 'known']);
    assert.equal(await made.ask('owed', { payer: payer.member, payee: payee.member, currency: EUR }), '0');
});

test('members come and go by votes, and votes are counted anew each time', async () => {
    const made = await world(3);
    const [a, b, c] = made.people;
    const late = person(3);
    const admit = { kind: 'admit', ...named(late) };
    assert.deepEqual(await made.send(a, { ...admit, signature: a.signature }), ['not_bound']);
    assert.deepEqual(await made.send(a, admit), ['kept']);
    assert.deepEqual(await made.send(b, admit), ['kept']);
    assert.deepEqual(await made.send(c, admit), ['kept admitted']);
    assert.deepEqual(await made.send(late, anchor(1, 1)), ['kept']);
    const remove = { kind: 'remove', member: late.member };
    for (const [who, said] of [[a, 'kept'], [b, 'kept'], [c, 'kept removed']]) {
        assert.deepEqual(await made.send(who, remove), [said]);
    }
    assert.equal(await made.run(late, ['batch', JSON.stringify([anchor(2, 1)])]), 'refused: stranger');
    assert.deepEqual(await made.send(a, admit), ['kept']); // the votes from before are forgotten
});

test('members are a thousand at most', async () => {
    const made = await world(1);
    const admit = { kind: 'admit', ...named(person(3)) };
    const [key] = [...made.channel.state.keys()].filter((one) => one.includes('members'));
    const kept = made.channel.state.get(key);
    const all = JSON.parse(kept.value.toString());
    const others = [...Array(999).keys()].map((at) => String(at).padStart(64, '0'));
    for (const [count, said] of [[999, 'full'], [998, 'kept']]) {
        const more = Object.fromEntries(others.slice(0, count).map((one) => [one, { account: one }]));
        kept.value = Buffer.from(JSON.stringify({ ...all, ...more }));
        assert.deepEqual(await made.send(made.people[0], admit), [said]);
    }
});

test('a member that takes itself out is a stranger for the rest of its batch', async () => {
    const made = await world(2);
    const [a, b] = made.people;
    const remove = { kind: 'remove', member: a.member };
    assert.deepEqual(await made.send(b, remove), ['kept']);
    assert.deepEqual(await made.send(a, remove, anchor(1, 1)), ['kept removed', 'stranger']);
    assert.deepEqual(await made.send(b, { kind: 'remove', member: b.member }), ['last_member']);
});

test('a closed place takes payments and nothing else', async () => {
    const made = await world(1);
    const [a] = made.people;
    assert.deepEqual(await made.send(a, { kind: 'upgrade', successor: hex(3) }), ['kept closed']);
    const confirm = { kind: 'confirm', payer: hex(1), reference: hex(2) };
    assert.deepEqual(await made.send(a, anchor(1, 1), confirm), ['closed', 'no_payment']);
    assert.equal((await made.ask('place')).successor, hex(3));
});

test('what is malformed is refused alone, and as a whole where it is no batch', async () => {
    const made = await world(1);
    const [a] = made.people;
    const wrong = [
        null, [], 'anchor', { kind: '__proto__' }, { kind: 'anchor' }, { ...anchor(1, 1), more: 1 },
        { ...anchor(1, 1), size: 2 ** 53 }, { ...anchor(1, 1), size: -1 }, { ...anchor(1, 1), size: 1.5 },
        { ...anchor(1, 1), root: hex(1).toUpperCase().replace(/0/g, 'A') },
        { ...anchor(1, 1), signature: [hex(1)] }, { ...shares([a, a, a]) },
    ];
    const said = await made.send(a, ...wrong);
    assert.deepEqual(said, wrong.map(() => 'malformed'));
    for (const args of [
        ['batch', '[]'], ['batch', '{}'], ['batch', '['], ['batch'], ['batch', JSON.stringify(Array(65).fill(1))],
        ['batch', '[1]', 'more'], ['head', '{}'], ['head', 'null'], ['agreed', '{"entry":1}'],
    ]) {
        assert.equal(await made.run(a, args), 'refused: malformed', args.join(' '));
    }
    const long = `{"log":"${hex(1)}"${' '.repeat(4 << 20)}}`;
    assert.equal(await made.run(a, ['head', long]), 'refused: malformed');
    assert.equal(await made.run(a, ['constructor', '{}']), 'refused: no_function');
});

test('one entry by the name of its function: refused, the transaction is', async () => {
    const made = await world(1);
    const { kind, ...fields } = anchor(5, 1);
    const [a] = made.people;
    assert.equal((await made.run(a, [kind, JSON.stringify(fields)])).result, 'kept');
    const smaller = JSON.stringify({ ...fields, size: 4 });
    assert.equal(await made.run(a, [kind, smaller]), 'refused: smaller');
});

test('views: approvals, agreement on a round, inclusion', async () => {
    const made = await world(2);
    const approve = { kind: 'approveJob', job: hex(5), spec: hex(6) };
    const round = {
        kind: 'commitRound', job: hex(5), round: 1, aggregate: hex(1), updates: hex(0), attestation: hex(0),
    };
    for (const who of made.people) {
        assert.deepEqual(await made.send(who, approve, round), ['kept', 'kept']);
    }
    assert.deepEqual(await made.send(made.people[0], { ...round, aggregate: hex(2) }), ['fork']);
    const sorted = made.people.map((one) => one.member).sort();
    assert.deepEqual(await made.ask('approvals', { job: hex(5), spec: hex(6) }), sorted);
    assert.equal(await made.ask('agreed', { entry: round }), 2);
    const alone = { leaf: hex(1), index: 0, size: 1, path: [], root: hex(1) };
    assert.equal(await made.ask('verify', alone), true);
    assert.equal(await made.ask('verify', { ...alone, size: 0 }), false);
    assert.equal(await made.ask('verify', { ...alone, path: [hex(1)] }), false);
    const above = sha256(Buffer.from([1]), Buffer.from(hex(2), 'hex'), Buffer.from(hex(1), 'hex'));
    const longer = { ...alone, path: [hex(2)], root: above.toString('hex') };
    assert.equal(await made.ask('verify', longer), false);
});

test('views refuse what is malformed, by name', async () => {
    const made = await world(1);
    const round = {
        kind: 'commitRound', job: hex(5), round: 1, aggregate: hex(1), updates: hex(0), attestation: hex(0),
    };
    const leaf = { leaf: hex(1), index: 0, size: 1, path: [], root: hex(1) };
    const good = {
        head: { log: hex(1) },
        roots: { log: hex(1), size: 1 },
        heads: { log: hex(1) },
        approvals: { job: hex(5), spec: hex(6) },
        agreed: { entry: round },
        standing: { job: hex(5) },
        owed: { payer: hex(1), payee: hex(2), currency: EUR },
        verify: leaf,
    };
    for (const [view, parameters] of Object.entries(good)) {
        assert.notEqual(await made.ask(view, parameters), 'refused: malformed', view);
        for (const name of Object.keys(parameters)) {
            for (const wrong of [undefined, 'x', 1.5, ['x'], {}]) {
                const said = await made.ask(view, { ...parameters, [name]: wrong });
                assert.equal(said, 'refused: malformed', `${view} ${name}`);
            }
        }
    }
    assert.equal(await made.ask('agreed', { entry: anchor(1, 1) }), 'refused: malformed');
    assert.equal(await made.ask('verify', { ...leaf, path: Array(65).fill(hex(1)) }), 'refused: malformed');
});
