// Compile the contract into the Python package: node build.js [FOLDER [TARGET]]
//
// The same bytes on every machine: the compiler is locked, its settings stand here in full, sources
// are named by their paths below src/, and no metadata hash is appended to the code.
"use strict";
const fs = require("fs");
const path = require("path");
const solc = require("solc");

const NAME = "SecureFlowAnchors";
const TARGETS = ["istanbul", "paris"]; // GoQuorum 21 and later; Besu and anything since the merge
const LARGEST = 24576; // bytes of code that an account may have (EIP-170)
const here = path.join(__dirname, "src");
const into = process.argv[2] || path.join(__dirname, "../../src/secureflow/adapters/anchors/evm/contract");

const sources = {};
for (const file of fs.readdirSync(here).sort()) {
  sources[file] = { content: fs.readFileSync(path.join(here, file), "utf8") };
}

function compile(evmVersion) {
  const settings = {
    evmVersion,
    viaIR: true,
    optimizer: { enabled: true, runs: 200 },
    metadata: { bytecodeHash: "none", appendCBOR: false },
    outputSelection: { [`${NAME}.sol`]: { [NAME]: ["abi", "evm.bytecode.object", "evm.deployedBytecode.object", "evm.deployedBytecode.immutableReferences"] } },
  };
  const made = JSON.parse(solc.compile(JSON.stringify({ language: "Solidity", sources, settings })));
  const faults = (made.errors || []).filter((one) => one.severity === "error" || !/older than|deprecated/.test(one.message));
  if (faults.length) {
    process.stderr.write(faults.map((one) => one.formattedMessage).join("\n"));
    process.exit(1);
  }
  const { abi, evm } = made.contracts[`${NAME}.sol`][NAME];
  const size = evm.deployedBytecode.object.length / 2;
  if (size > LARGEST) {
    process.stderr.write(`${evmVersion}: ${size} bytes are more than ${LARGEST}\n`);
    process.exit(1);
  }
  process.stdout.write(`${evmVersion}: ${size} bytes\n`);
  // Where the constructor writes values into the code: what is there differs from place to place.
  const holes = Object.values(evm.deployedBytecode.immutableReferences).flat();
  const written = holes.map((one) => [one.start, one.length]).sort((a, b) => a[0] - b[0]);
  return { abi, made: { bytecode: evm.bytecode.object, runtime: evm.deployedBytecode.object, written } };
}

fs.mkdirSync(into, { recursive: true });
const wanted = TARGETS.filter((one) => !process.argv[3] || one === process.argv[3]);
const all = wanted.map((target) => [target, compile(target)]);
fs.writeFileSync(path.join(into, "abi.json"), JSON.stringify(all[0][1].abi, null, 1) + "\n");
for (const [target, { made }] of all) {
  const compiler = solc.version();
  fs.writeFileSync(path.join(into, `${target}.json`), JSON.stringify({ compiler, evmVersion: target, ...made }) + "\n");
}
