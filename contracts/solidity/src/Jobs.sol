// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Membership} from "./Membership.sol";

/// Jobs, their approvals and rounds, datasets and what is spent of their privacy budgets.
abstract contract Jobs is Membership {
    uint256 internal constant SPECS = 64; // of one job
    uint256 internal constant WORDS = 8; // of one member on one round

    struct Dataset {
        bool committed;
        uint64 cap;
        uint64 spent;
    }

    mapping(bytes32 job => bytes32[]) internal registered;
    mapping(bytes32 question => uint8) internal differing;
    mapping(uint16 member => mapping(bytes32 dataset => Dataset)) internal datasets;

    function registerJob(bytes32 job, bytes32 spec) external returns (uint8) {
        uint16 me = _sender(2);
        bytes32[] storage all = registered[job];
        uint256 n = all.length;
        if (_repeated(keccak256(abi.encode(msg.sig, job, spec)))) return KNOWN;
        if (n >= SPECS) revert Refusal("full");
        all.push(spec);
        return _keep(me, job, n > 0);
    }

    function approveJob(bytes32 job, bytes32 spec) external returns (uint8) {
        uint16 me = _sender(2);
        bytes32 ballot = keccak256(abi.encode(msg.sig, job, spec));
        if (_voted(ballot, me)) return KNOWN;
        _mark(ballot, me);
        return _keep(me, job, false);
    }

    function commitDataset(bytes32 dataset, bytes32 commitment, uint64 cap) external returns (uint8) {
        uint16 me = _sender(3);
        _narrow(cap);
        bytes32 answer = keccak256(abi.encode(commitment, cap));
        if (_once(keccak256(abi.encode(msg.sig, me, dataset)), answer)) return KNOWN;
        datasets[me][dataset] = Dataset(true, cap, 0);
        return _keep(me, dataset, false);
    }

    function commitRound(bytes32 job, uint64 round, bytes32 aggregate, bytes32 updates, bytes32 attestation)
        external
        returns (uint8)
    {
        uint16 me = _sender(5);
        _narrow(round);
        bytes32 ballot = _round(job, round, aggregate, updates, attestation);
        if (_voted(ballot, me)) return KNOWN;
        _mark(ballot, me);
        uint8 n = differing[keccak256(abi.encode(me, job, round))]++;
        if (n >= WORDS) revert Refusal("full");
        return _keep(me, job, n > 0);
    }

    function spend(bytes32 dataset, bytes32 job, uint64 micro) external returns (uint8) {
        uint16 me = _sender(3);
        _narrow(micro);
        Dataset storage one = datasets[me][dataset];
        if (!one.committed) revert Refusal("not_committed");
        bytes32 answer = keccak256(abi.encode(micro));
        if (_once(keccak256(abi.encode(msg.sig, me, dataset, job)), answer)) return KNOWN;
        if (micro > one.cap - one.spent) revert Refusal("over_cap");
        one.spent += micro;
        return _keep(me, dataset, false);
    }

    function specs(bytes32 job) external view returns (bytes32[] memory) {
        return registered[job];
    }

    /// Who of the members now approved it.
    function approvals(bytes32 job, bytes32 spec) external view returns (bytes32[] memory who) {
        bytes32 ballot = keccak256(abi.encode(this.approveJob.selector, job, spec));
        who = new bytes32[](_votes(ballot));
        uint256 n;
        for (uint16 i = 1; n < who.length; i++) {
            if (parties[keys[i]].present && _voted(ballot, i)) who[n++] = keys[i];
        }
    }

    /// How many of the members now said just this of a round.
    function rounds(bytes32 job, uint64 round, bytes32 aggregate, bytes32 updates, bytes32 attestation)
        external
        view
        returns (uint256)
    {
        return _votes(_round(job, round, aggregate, updates, attestation));
    }

    function budget(bytes32 member, bytes32 name) external view returns (bool committed, uint64 cap, uint64 spent) {
        Dataset storage one = datasets[parties[member].number][name];
        return (one.committed, one.cap, one.spent);
    }

    function _round(bytes32 job, uint64 round, bytes32 aggregate, bytes32 updates, bytes32 attestation)
        private
        pure
        returns (bytes32)
    {
        return keccak256(abi.encode("round", job, round, aggregate, updates, attestation));
    }
}
