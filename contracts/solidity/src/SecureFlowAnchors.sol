// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Heads} from "./Heads.sol";
import {Jobs} from "./Jobs.sol";
import {Membership} from "./Membership.sol";
import {Money} from "./Money.sol";

/// A place of SecureFlow's anchors on an EVM chain: digests, salted commitments, whole numbers.
///
/// It takes no value, calls no other contract, and nothing in it can be changed by whoever deployed
/// it. An upgrade is another contract to which k members point (`upgrade`).
contract SecureFlowAnchors is Heads, Jobs, Money {
    uint256 public constant RULES = 1;
    uint256 internal constant BATCH = 256;

    /// An entry of a batch that is against the rules; the others go on.
    event Refused(uint256 index, bytes32 reason);
    /// What became of each entry of a batch: 0 known, 1 kept, 2 kept as a fork, 3 refused.
    event Judged(bytes32 indexed member, bytes results);

    constructor(Founder[] memory founders, uint64 window_) Membership(founders, window_) {}

    /// Many entries in one transaction, each judged alone, in their order.
    function batch(bytes[] calldata calls) external {
        uint16 me = numbers[msg.sender];
        if (me == 0) revert Refusal("stranger");
        if (calls.length > BATCH) revert Refusal("full");
        bytes memory results = new bytes(calls.length);
        for (uint256 i; i < calls.length; i++) {
            uint256 before = gasleft();
            (bool done, bytes memory answer) = _nested(calls[i])
                ? (false, abi.encodeWithSelector(Refusal.selector, bytes32("nested")))
                : address(this).delegatecall(calls[i]);
            if (done) {
                results[i] = bytes1(abi.decode(answer, (uint8)));
                continue;
            }
            // An entry that ran out of gas was not judged: then nothing of the batch happened.
            if (answer.length == 0 && gasleft() <= before / 60) revert Refusal("gas");
            results[i] = bytes1(REFUSED);
            emit Refused(i, _reason(answer));
        }
        emit Judged(keys[me], results);
    }

    function _nested(bytes calldata call) private pure returns (bool) {
        return call.length >= 4 && bytes4(call[:4]) == this.batch.selector;
    }

    function _reason(bytes memory answer) private pure returns (bytes32 reason) {
        if (answer.length != 36 || bytes4(answer) != Refusal.selector) return "malformed";
        assembly ("memory-safe") {
            reason := mload(add(answer, 36))
        }
    }
}
