// For tests in another language: lines of JSON in, answers out, over a channel in memory.
// `begin` begins another place, on an empty channel.
//
//   {"begin": {place, window, members}, "creators": [[msp, PEM], …]}
//   {"send": [entry, …], "who": number, "at": seconds}   → results, or {"refused": message}
//   {"ask": view, "parameters": {…}}
'use strict';

const readline = require('node:readline');
const { Ledger } = require('../lib/ledger');
const { Channel } = require('./stub');

let now = 0;
let channel = new Channel();
const ledger = new Ledger(() => now * 1000);
let creators = [];

async function run(who, args, init = false) {
    const [mspid, pem] = creators[who];
    const creator = { mspid, idBytes: Buffer.from(pem) };
    const asked = { creator, args, seconds: now, init };
    const { response, stub } = await channel.simulate(ledger, asked);
    if (response.status !== 200) {
        return { refused: response.message };
    }
    channel.commit(stub);
    return JSON.parse(response.payload.toString());
}

async function answer(asked) {
    if (asked.begin) {
        ({ creators } = asked);
        channel = new Channel(asked.begin.place.split(':')[1]);
        return run(0, ['init', JSON.stringify(asked.begin)], true);
    }
    if (asked.ask) {
        return run(0, [asked.ask, JSON.stringify(asked.parameters)]);
    }
    now = asked.at;
    return run(asked.who, ['batch', JSON.stringify(asked.send)]);
}

async function main() {
    for await (const line of readline.createInterface({ input: process.stdin })) {
        process.stdout.write(`${JSON.stringify(await answer(JSON.parse(line)))}\n`);
    }
}

if (require.main === module) {
    main();
}
