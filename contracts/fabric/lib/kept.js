// What the channel keeps of this chaincode, by composite keys, and what a transaction adds to it.
//
// A peer answers getState with what is committed, never with what the same transaction wrote: a
// batch whose second entry rests on its first would not see it. So writes are held here, read from
// here, and put once at the end, in the order of their keys.
//
// What is read goes into the read set, and two transactions of one block that touch one key are a
// conflict of which one is lost. So everything that members say at the same time has a key of its
// own (a vote, a round, a size of a log, a payment), and a key that many read (members, the place) is
// written almost never. Nothing that a transaction decides on is a range, which conflicts with every
// new key in it; ranges are for views.
'use strict';

class Kept {
    constructor(stub) {
        this.stub = stub;
        this.read = new Map();
        this.written = new Map();
    }

    async get(type, ...names) {
        const key = this.stub.createCompositeKey(type, names.map(String));
        if (this.written.has(key)) {
            return this.written.get(key);
        }
        if (!this.read.has(key)) {
            const data = await this.stub.getState(key);
            this.read.set(key, data && data.length ? JSON.parse(data.toString()) : undefined);
        }
        return this.read.get(key);
    }

    put(value, type, ...names) {
        this.written.set(this.stub.createCompositeKey(type, names.map(String)), value);
    }

    // Yields [the key's last name, value] in the order of keys; for views, which write nothing.
    async* range(type, ...names) {
        for await (const one of this.stub.getStateByPartialCompositeKey(type, names.map(String))) {
            const { attributes } = this.stub.splitCompositeKey(one.key);
            yield [attributes.at(-1), JSON.parse(Buffer.from(one.value).toString())];
        }
    }

    async flush() {
        for (const [key, value] of [...this.written].sort(([a], [b]) => (a < b ? -1 : 1))) {
            if (value === undefined) {
                await this.stub.deleteState(key);
            } else {
                await this.stub.putState(key, Buffer.from(JSON.stringify(value)));
            }
        }
    }
}

module.exports = { Kept };
