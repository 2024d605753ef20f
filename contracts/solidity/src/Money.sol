// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Membership} from "./Membership.sol";

/// Who contributed how much, what is owed for it, and what was paid outside of the chain.
abstract contract Money is Membership {
    uint256 internal constant WHOLE = 10_000;
    uint256 internal constant NAMED = 1_000;
    uint256 internal constant PACKED = 8; // numbers and shares of 32 bits in a word

    struct Standing {
        uint64 version;
        uint64 since;
        uint16 rounding;
        uint16 named;
        bool split;
        bytes32 root;
        mapping(uint256 word => uint256) shares;
    }

    struct Debt {
        uint128 owed;
        uint128 stated; // by the payer, and not confirmed by the payee
    }

    struct Payment {
        uint64 amount;
        uint16 payee;
        bool confirmed;
        bytes32 currency;
    }

    mapping(bytes32 job => Standing) internal standings;
    mapping(bytes32 question => uint256) internal open; // disputes of (job, version)
    mapping(bytes32 question => uint8) internal disputes; // 1 open, 2 withdrawn
    mapping(uint16 payer => mapping(uint16 payee => mapping(bytes32 currency => Debt))) internal debts;
    mapping(uint16 payer => mapping(bytes32 ref => Payment)) internal payments;

    function setContributions(
        bytes32 job,
        uint64 version,
        bytes32 root,
        bytes32[] calldata named,
        uint16[] calldata shares,
        bytes32 rounding
    ) external returns (uint8) {
        uint16 me = _sender(8 + named.length + shares.length);
        _narrow(version);
        // The only call with lists: those that were spelled otherwise than others would are refused.
        if (keccak256(msg.data[4:]) != keccak256(abi.encode(job, version, root, named, shares, rounding))) {
            revert Refusal("malformed");
        }
        bytes32 digest = keccak256(msg.data);
        if (carried[digest]) return KNOWN;
        bool again = _once(keccak256(abi.encode(msg.sig, me, job, version)), digest);
        Standing storage it = standings[job];
        if (it.split) return _against("already_split", again);
        if (version == 0 || version <= it.version) return _against("old_version", again);
        uint16 rest = _named(named, rounding);
        uint256[] memory packed = _packed(named, shares);
        if (packed.length == 0) return _against("no_member", again);
        if (!_vote(digest, me)) return _counted(me, job, again);
        _keep(me, job, false);
        emit Carried(msg.sig, job);
        it.version = version;
        it.since = _time();
        it.rounding = rest;
        it.named = uint16(named.length);
        it.root = root;
        for (uint256 i; i < packed.length; i++) it.shares[i] = packed[i];
        return KEPT;
    }

    function dispute(bytes32 job, uint64 version, bytes32 evidence) external returns (uint8) {
        uint16 me = _sender(3);
        bytes32 question = keccak256(abi.encode(msg.sig, me, job, version));
        bytes32 answer = keccak256(abi.encode(evidence));
        if (_once(question, answer)) return KNOWN;
        Standing storage it = standings[job];
        if (it.version == 0 || version != it.version) revert Refusal("not_standing");
        if (_time() >= it.since + window) revert Refusal("window_over");
        disputes[question] = 1;
        open[keccak256(abi.encode(job, version))]++;
        return _keep(me, job, false);
    }

    function withdraw(bytes32 job, uint64 version) external returns (uint8) {
        uint16 me = _sender(2);
        bytes32 question = keccak256(abi.encode(this.dispute.selector, me, job, version));
        uint8 state = disputes[question];
        if (state == 2) return KNOWN;
        if (state == 0) revert Refusal("no_dispute");
        disputes[question] = 2;
        open[keccak256(abi.encode(job, version))]--;
        return _keep(me, job, false);
    }

    function split(bytes32 job, uint64 version, bytes32 payer, uint64 amount, bytes32 currency)
        external
        returns (uint8)
    {
        uint16 me = _sender(5);
        _narrow(amount);
        bytes32 digest = keccak256(msg.data);
        if (carried[digest]) return KNOWN;
        bool again = _once(keccak256(abi.encode(msg.sig, me, job, version)), digest);
        Standing storage it = standings[job];
        if (it.split) return _against("already_split", again);
        if (it.version == 0 || version != it.version) return _against("not_standing", again);
        if (_time() < it.since + window) return _against("window_open", again);
        if (open[keccak256(abi.encode(job, version))] != 0) return _against("disputed", again);
        if (!parties[payer].present) return _against("no_member", again);
        if (amount == 0) revert Refusal("no_amount");
        if (!_vote(digest, me)) return _counted(me, job, again);
        _keep(me, job, false);
        emit Carried(msg.sig, job);
        it.split = true;
        _share(it, parties[payer].number, amount, currency);
        return KEPT;
    }

    function settle(bytes32 payee, uint64 amount, bytes32 currency, bytes32 ref) external returns (uint8) {
        uint16 me = _payer(4);
        _narrow(amount);
        bytes32 digest = keccak256(msg.data);
        if (_once(keccak256(abi.encode(msg.sig, me, ref)), digest)) return KNOWN;
        uint16 to = parties[payee].number;
        Debt storage debt = debts[me][to][currency];
        if (amount == 0) revert Refusal("no_amount");
        if (amount > debt.owed - debt.stated) revert Refusal("not_owed");
        debt.stated += amount;
        payments[me][ref] = Payment(amount, to, false, currency);
        return _keep(me, payee, false);
    }

    function confirm(bytes32 payer, bytes32 ref) external returns (uint8) {
        uint16 me = _payer(2);
        uint16 from = parties[payer].number;
        Payment storage one = payments[from][ref];
        if (one.payee != me) revert Refusal("no_payment");
        if (one.confirmed) return KNOWN;
        one.confirmed = true;
        Debt storage debt = debts[from][me][one.currency];
        debt.owed -= one.amount;
        debt.stated -= one.amount;
        return _keep(me, payer, false);
    }

    function owed(bytes32 payer, bytes32 payee, bytes32 currency) external view returns (uint128 all, uint128 stated) {
        Debt storage debt = debts[parties[payer].number][parties[payee].number][currency];
        return (debt.owed, debt.stated);
    }

    function standing(bytes32 job)
        external
        view
        returns (
            uint64 version,
            uint64 since,
            bytes32 root,
            bytes32[] memory named,
            uint16[] memory shares,
            bytes32 rounding,
            uint256 disputed,
            bool done
        )
    {
        Standing storage it = standings[job];
        named = new bytes32[](it.named);
        shares = new uint16[](it.named);
        for (uint256 i; i < named.length; i++) {
            (uint16 number, uint16 share) = _unpacked(it.shares[i / PACKED], i % PACKED);
            (named[i], shares[i]) = (keys[number], share);
        }
        return (
            it.version,
            it.since,
            it.root,
            named,
            shares,
            keys[it.rounding],
            open[keccak256(abi.encode(job, it.version))],
            it.split
        );
    }

    function payment(bytes32 payer, bytes32 ref)
        external
        view
        returns (bytes32 payee, uint64 amount, bytes32 currency, bool confirmed)
    {
        Payment storage one = payments[parties[payer].number][ref];
        return (keys[one.payee], one.amount, one.currency, one.confirmed);
    }

    /// Every named member is owed its whole minor units by the payer, `rounding` the rest. What the
    /// payer would owe itself is nobody's debt. The loop is as long as the list that k members voted for.
    function _share(Standing storage it, uint16 payer, uint64 amount, bytes32 currency) private {
        uint64 rest = amount;
        uint256 word;
        for (uint256 i; i < it.named; i++) {
            if (i % PACKED == 0) word = it.shares[i / PACKED];
            (uint16 number, uint16 share) = _unpacked(word, i % PACKED);
            uint64 part = uint64((uint256(amount) * share) / WHOLE);
            rest -= part;
            if (number != payer && part > 0) debts[payer][number][currency].owed += part;
        }
        if (it.rounding != payer && rest > 0) debts[payer][it.rounding][currency].owed += rest;
    }

    /// Numbers and shares as words; none if not all of the named are members now.
    function _packed(bytes32[] calldata named, uint16[] calldata shares) private view returns (uint256[] memory words) {
        if (named.length == 0 || named.length > NAMED || named.length != shares.length) revert Refusal("malformed");
        words = new uint256[]((named.length + PACKED - 1) / PACKED);
        bool gone;
        uint256 sum;
        for (uint256 i; i < named.length; i++) {
            if (i > 0 && named[i] <= named[i - 1]) revert Refusal("malformed");
            Party storage party = parties[named[i]];
            if (!party.present) gone = true;
            sum += shares[i];
            words[i / PACKED] |= ((uint256(party.number) << 16) | shares[i]) << (32 * (i % PACKED));
        }
        if (sum != WHOLE) revert Refusal("malformed");
        if (gone) return new uint256[](0);
    }

    function _named(bytes32[] calldata named, bytes32 rounding) private view returns (uint16) {
        for (uint256 i; i < named.length; i++) if (named[i] == rounding) return parties[rounding].number;
        revert Refusal("malformed");
    }

    function _unpacked(uint256 word, uint256 index) private pure returns (uint16 number, uint16 share) {
        uint256 both = word >> (32 * index);
        return (uint16(both >> 16), uint16(both));
    }
}
