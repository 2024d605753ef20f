// A channel in memory, faithful in what chaincode can come to grief over: getState answers with what
// is committed (never with the transaction's own writes), values are bytes, keys are ordered by their
// UTF-8 bytes, a range ends before its end key, and a transaction is lost if a key that it read has another
// version when it is committed. Composite keys and the certificate are the shim's own work.
'use strict';

const ChaincodeStub = require('fabric-shim').ChaincodeStub;

const MAX_RUNE = '\u{10ffff}';
const before = (a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b));
const composite = ChaincodeStub.prototype;

class Channel {
    constructor(name = 'audit') {
        this.name = name;
        this.state = new Map();
        this.block = 0;
    }

    // Simulates a transaction; `commit` decides afterwards whether it holds.
    async simulate(chaincode, { creator, args, seconds, init = false, id = 'tx' }) {
        const stub = new Stub(this, { creator, args, seconds, id });
        const response = await (init ? chaincode.Init(stub) : chaincode.Invoke(stub));
        return { response, stub };
    }

    // Commits one block of simulated transactions in their order; returns a code for each.
    commit(...stubs) {
        this.block += 1;
        return stubs.map((stub, index) => {
            const stale = [...stub.reads].some(([key, version]) => this.version(key) !== version);
            if (stale) {
                return 'MVCC_READ_CONFLICT';
            }
            for (const [key, value] of stub.writes) {
                if (value === null) {
                    this.state.delete(key);
                } else {
                    this.state.set(key, { value, version: `${this.block}.${index}` });
                }
            }
            return 'VALID';
        });
    }

    version(key) {
        return this.state.get(key)?.version;
    }
}

class Stub {
    constructor(channel, { creator, args, seconds, id }) {
        Object.assign(this, { channel, creator, args, seconds, id });
        this.reads = new Map();
        this.writes = new Map();
        this.event = undefined;
    }

    getStringArgs() { return this.args; }
    getChannelID() { return this.channel.name; }
    getTxID() { return this.id; }
    getCreator() { return this.creator; }
    getTxTimestamp() { return { seconds: this.seconds, nanos: 0 }; }
    createCompositeKey(type, names) { return composite.createCompositeKey.call(this, type, names); }
    splitCompositeKey(key) { return composite.splitCompositeKey.call(this, key); }

    async getState(key) {
        this.reads.set(key, this.channel.version(key));
        return Buffer.from(this.channel.state.get(key)?.value ?? '');
    }

    async putState(key, value) { this.writes.set(key, Buffer.from(value)); }
    async deleteState(key) { this.writes.set(key, null); }

    async* getStateByPartialCompositeKey(type, names) {
        const start = this.createCompositeKey(type, names);
        const keys = [...this.channel.state.keys()].sort(before)
            .filter((key) => before(start, key) <= 0 && before(key, start + MAX_RUNE) < 0);
        for (const key of keys) {
            yield { key, value: this.channel.state.get(key).value };
        }
    }

    setEvent(name, payload) { this.event = { name, payload: JSON.parse(payload.toString()) }; }
}

module.exports = { Channel };
