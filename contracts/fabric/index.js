// Chaincode as a service: the peer dials this process (CHAINCODE_SERVER_ADDRESS, CHAINCODE_ID as
// Fabric's own samples name them). With CHAINCODE_TLS_KEY and CHAINCODE_TLS_CERT it speaks TLS, and
// with CHAINCODE_CLIENT_CA_CERT it takes only peers whose certificate that CA signed.
'use strict';

const fs = require('node:fs');
const shim = require('fabric-shim');
const { Ledger } = require('./lib/ledger');

function tls(environment) {
    const { CHAINCODE_TLS_KEY, CHAINCODE_TLS_CERT, CHAINCODE_CLIENT_CA_CERT } = environment;
    if (!CHAINCODE_TLS_KEY || !CHAINCODE_TLS_CERT) {
        return undefined;
    }
    const clients = CHAINCODE_CLIENT_CA_CERT && fs.readFileSync(CHAINCODE_CLIENT_CA_CERT);
    return {
        key: fs.readFileSync(CHAINCODE_TLS_KEY),
        cert: fs.readFileSync(CHAINCODE_TLS_CERT),
        clientCACerts: clients || undefined,
    };
}

async function main() {
    const ccid = process.env.CHAINCODE_ID;
    const address = process.env.CHAINCODE_SERVER_ADDRESS;
    if (!ccid || !address) {
        throw new Error('CHAINCODE_ID and CHAINCODE_SERVER_ADDRESS must be set');
    }
    const server = shim.server(new Ledger(), { ccid, address, tlsProps: tls(process.env) });
    await server.start();
    process.stdout.write(`secureflow-anchor ${ccid} listens on ${address}\n`);
}

main().catch((error) => {
    process.stderr.write(`${error.message}\n`);
    process.exitCode = 1;
});
