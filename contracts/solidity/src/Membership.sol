// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// Who may write here, and how k = floor(2n/3) + 1 of the n members decide. There is no administrator:
/// whoever deploys the contract has no role in it afterwards.
///
/// A member is its charter key (Ed25519). This chain cannot check the key's signature over the
/// account, so that it is kept and emitted, and every reader checks it before it trusts the place.
abstract contract Membership {
    uint8 internal constant KNOWN = 0;
    uint8 internal constant KEPT = 1;
    uint8 internal constant FORK = 2;
    uint8 internal constant REFUSED = 3;
    /// The greatest number that canonical JSON holds: a wider one could be read by nobody's agent.
    uint64 internal constant WIDEST = 2 ** 53 - 1;
    uint256 internal constant MEMBERS = 1_000;
    /// Members ever: a number is 16 bits wide where shares are packed.
    uint16 internal constant MOST = 65_000;

    struct Party {
        address account;
        uint16 number;
        bool present;
        uint32 arrivals; // parts of the ballots' names: votes on a removal are over once the member
        uint32 departures; // came again, those on an admission once it went again
        bytes32[2] signature;
    }

    struct Founder {
        bytes32 member;
        address account;
        bytes32[2] signature;
    }

    /// A kept entry: `entry` is the call that made it. The rest can be derived from these alone.
    event Kept(
        bytes32 indexed member, bytes4 indexed kind, bytes32 indexed subject, uint64 time, bool fork, bytes entry
    );
    /// k equal votes were there: from now on it is so.
    event Carried(bytes4 indexed kind, bytes32 indexed subject);
    event Joined(bytes32 indexed member, address account, bytes32[2] signature);
    event Left(bytes32 indexed member, address account);

    error Refusal(bytes32 reason);

    /// Seconds in which shares can be disputed.
    uint64 public immutable window;
    /// The block since which there is something to read here.
    uint256 public immutable founded;
    /// Where this place is continued; zero while it is open.
    bytes32 public successor;

    mapping(bytes32 member => Party) internal parties;
    mapping(uint16 number => bytes32 member) internal keys;
    mapping(address account => uint16 number) internal numbers;
    uint16 internal ever; // numbers given so far, from 1
    uint16 internal count; // members now
    mapping(uint256 word => uint256 bits) internal present;
    mapping(bytes32 ballot => mapping(uint256 word => uint256 bits)) internal ballots;
    /// Votes that took effect: from then on the same is known, whoever says it.
    mapping(bytes32 ballot => bool) internal carried;
    /// What a member said once and cannot say otherwise: the name of the question -> the answer.
    mapping(bytes32 question => bytes32 answer) internal said;

    constructor(Founder[] memory founders, uint64 window_) {
        require(founders.length > 0 && founders.length <= MEMBERS && window_ <= WIDEST);
        window = window_;
        founded = block.number;
        for (uint256 i; i < founders.length; i++) {
            require(numbers[founders[i].account] == 0 && !parties[founders[i].member].present);
            _join(founders[i].member, founders[i].account, founders[i].signature);
        }
    }

    function admit(bytes32 member, bytes32 account, bytes32[2] calldata signature) external returns (uint8) {
        uint16 me = _sender(4);
        if (uint256(account) >> 160 != 0 || account == 0) revert Refusal("malformed");
        address who = address(uint160(uint256(account)));
        bytes32 ballot = keccak256(abi.encode(msg.sig, member, parties[member].departures, account, signature));
        if (carried[ballot]) return KNOWN;
        bool again = _voted(ballot, me);
        if (parties[member].present || numbers[who] != 0) return _against("in_use", again);
        if (count >= MEMBERS || ever == MOST) return _against("full", again);
        if (!_vote(ballot, me)) return _counted(me, member, again);
        _keep(me, member, false);
        emit Carried(msg.sig, member);
        _join(member, who, signature);
        return KEPT;
    }

    function remove(bytes32 member) external returns (uint8) {
        uint16 me = _sender(1);
        Party storage party = parties[member];
        bytes32 ballot = keccak256(abi.encode(msg.sig, member, party.arrivals));
        if (carried[ballot]) return KNOWN;
        bool again = _voted(ballot, me);
        if (!party.present) revert Refusal("no_member");
        if (count == 1) return _against("last_member", again);
        if (!_vote(ballot, me)) return _counted(me, member, again);
        _keep(me, member, false);
        emit Carried(msg.sig, member);
        emit Left(member, party.account);
        delete numbers[party.account];
        party.present = false;
        party.departures++;
        count--;
        present[party.number >> 8] &= ~(uint256(1) << (party.number & 255));
        return KEPT;
    }

    function upgrade(bytes32 successor_) external returns (uint8) {
        uint16 me = _payer(1);
        if (successor_ == 0) revert Refusal("malformed");
        if (successor == successor_) return KNOWN;
        if (successor != 0) revert Refusal("closed");
        bytes32 ballot = keccak256(abi.encode(msg.sig, successor_));
        bool again = _voted(ballot, me);
        if (!_vote(ballot, me)) return _counted(me, successor_, again);
        _keep(me, successor_, false);
        emit Carried(msg.sig, successor_);
        successor = successor_;
        return KEPT;
    }

    /// The members now, with the signatures that bind their accounts; `from` counts all ever admitted.
    function members(uint16 from, uint16 most) external view returns (Founder[] memory found, uint16 next) {
        uint16 last = ever - from < most ? ever : from + most;
        uint16 n;
        for (uint16 i = from + 1; i <= last; i++) if (parties[keys[i]].present) n++;
        found = new Founder[](n);
        n = 0;
        for (uint16 i = from + 1; i <= last; i++) {
            Party storage party = parties[keys[i]];
            if (party.present) found[n++] = Founder(keys[i], party.account, party.signature);
        }
        next = last == ever ? 0 : last;
    }

    /// Whose account it is now; zero if nobody's.
    function memberOf(address account) external view returns (bytes32) {
        return keys[numbers[account]];
    }

    /// The sender's number, while the place is open, for a call of just so many words.
    function _sender(uint256 words) internal view returns (uint16) {
        if (successor != 0) revert Refusal("closed");
        return _payer(words);
    }

    /// As `_sender`, also when the place is closed: debts can still be paid.
    function _payer(uint256 words) internal view returns (uint16 me) {
        me = numbers[msg.sender];
        if (me == 0) revert Refusal("stranger");
        // What is emitted is read by others: nothing may hide behind the arguments.
        if (msg.data.length != 4 + 32 * words) revert Refusal("malformed");
    }

    function _keep(uint16 me, bytes32 subject, bool fork) internal returns (uint8) {
        emit Kept(keys[me], msg.sig, subject, _time(), fork, msg.data);
        return fork ? FORK : KEPT;
    }

    /// Remember an answer; true if it was given before. Another one is refused.
    function _once(bytes32 question, bytes32 answer) internal returns (bool) {
        bytes32 before = said[question];
        if (before == answer) return true;
        if (before != 0) revert Refusal("different");
        said[question] = answer;
        return false;
    }

    /// Remember what anybody said; true if it was said before. No search: others cannot make it dear.
    function _repeated(bytes32 what) internal returns (bool) {
        return _once(what, bytes32(uint256(1)));
    }

    /// Remember that a member said this: nothing is carried by it.
    function _mark(bytes32 ballot, uint16 me) internal {
        ballots[ballot][me >> 8] |= uint256(1) << (me & 255);
    }

    /// Vote, or have a vote counted anew; true if k of those who are members now voted so. Members who
    /// come or go change k, and no ballot is counted then: whoever voted repeats the vote.
    function _vote(bytes32 ballot, uint16 me) internal returns (bool) {
        _mark(ballot, me);
        if (_votes(ballot) < (2 * uint256(count)) / 3 + 1) return false;
        carried[ballot] = true;
        return true;
    }

    /// A vote that is not carried yet: kept the first time.
    function _counted(uint16 me, bytes32 subject, bool again) internal returns (uint8) {
        return again ? KNOWN : _keep(me, subject, false);
    }

    /// A vote that cannot be taken now; one that was kept before does no harm.
    function _against(bytes32 reason, bool again) internal pure returns (uint8) {
        if (!again) revert Refusal(reason);
        return KNOWN;
    }

    function _voted(bytes32 ballot, uint16 me) internal view returns (bool) {
        return (ballots[ballot][me >> 8] >> (me & 255)) & 1 == 1;
    }

    /// Votes of those who are members now. The loop grows with members ever admitted, by 256.
    function _votes(bytes32 ballot) internal view returns (uint256 n) {
        uint256 words = (uint256(ever) >> 8) + 1;
        for (uint256 i; i < words; i++) {
            uint256 bits = ballots[ballot][i] & present[i];
            while (bits != 0) {
                bits &= bits - 1;
                n++;
            }
        }
    }

    /// Unix seconds: GoQuorum under Raft counts nanoseconds.
    function _time() internal view returns (uint64) {
        return uint64(block.timestamp > 10 ** 13 ? block.timestamp / 10 ** 9 : block.timestamp);
    }

    function _narrow(uint64 value) internal pure returns (uint64) {
        if (value > WIDEST) revert Refusal("malformed");
        return value;
    }

    function _join(bytes32 member, address account, bytes32[2] memory signature) private {
        Party storage party = parties[member];
        uint16 number = party.number;
        if (number == 0) {
            number = ++ever;
            party.number = number;
            keys[number] = member;
        }
        party.account = account;
        party.present = true;
        party.arrivals++;
        party.signature = signature;
        numbers[account] = number;
        present[number >> 8] |= uint256(1) << (number & 255);
        count++;
        emit Joined(member, account, signature);
    }
}
