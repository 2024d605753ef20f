// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Membership} from "./Membership.sol";

/// Heads of logs. A second root of one size is kept beside the first and emitted: it is a fork.
abstract contract Heads is Membership {
    uint256 internal constant ROOTS = 64; // of one size

    uint256 internal constant PATH = 64; // hashes: fewer than 2^64 leaves

    struct Seen {
        uint64 size;
        uint64 number; // of the block
        uint16 member;
        uint8 order; // 0 is the first root of its size
    }

    struct Head {
        uint64 size;
        bytes32 root;
        bytes32 member;
        uint64 number;
        bool fork;
    }

    mapping(bytes32 log => Seen[]) internal seen;
    mapping(bytes32 log => uint32[]) internal forked; // indices in `seen`
    mapping(bytes32 log => uint64) internal greatest;
    mapping(bytes32 log => mapping(uint64 size => bytes32[])) internal kept;
    mapping(bytes32 log => mapping(uint16 member => uint64)) internal last;

    function anchor(bytes32 log, uint64 size, bytes32 root, bytes32[2] calldata signature)
        external
        returns (uint8)
    {
        uint16 me = _sender(5);
        _narrow(size);
        signature; // readers check it: this chain cannot
        bytes32[] storage all = kept[log][size];
        uint256 n = all.length;
        for (uint256 i; i < n; i++) if (all[i] == root) return KNOWN;
        if (size < last[log][me]) revert Refusal("smaller");
        if (n >= ROOTS) revert Refusal("full");
        all.push(root);
        last[log][me] = size;
        if (n > 0) forked[log].push(uint32(seen[log].length));
        seen[log].push(Seen(size, uint64(block.number), me, uint8(n)));
        if (size > greatest[log]) greatest[log] = size;
        return _keep(me, log, n > 0);
    }

    /// The greatest size with the first root that was kept of it; zeros if there is none.
    function head(bytes32 log) external view returns (uint64 size, bytes32 root) {
        size = greatest[log];
        if (kept[log][size].length > 0) root = kept[log][size][0];
    }

    function roots(bytes32 log, uint64 size) external view returns (bytes32[] memory) {
        return kept[log][size];
    }

    /// Up to `most` heads, the newest first, beginning after `skip`, and how many there are.
    function heads(bytes32 log, uint256 skip, uint256 most) external view returns (Head[] memory page, uint256 all) {
        all = seen[log].length;
        page = new Head[](_fits(all, skip, most));
        for (uint256 i; i < page.length; i++) page[i] = _head(log, all - 1 - skip - i);
    }

    /// As `heads`: those that contradict an earlier one.
    function forks(bytes32 log, uint256 skip, uint256 most) external view returns (Head[] memory page, uint256 all) {
        all = forked[log].length;
        page = new Head[](_fits(all, skip, most));
        for (uint256 i; i < page.length; i++) page[i] = _head(log, forked[log][all - 1 - skip - i]);
    }

    /// Whether a leaf is in a tree (RFC 9162, 2.1.3.2), SHA-256.
    function verify(bytes32 leaf, uint64 index, uint64 size, bytes32[] calldata path, bytes32 root)
        external
        pure
        returns (bool)
    {
        if (index >= size || path.length > PATH) return false;
        uint64 fn = index;
        uint64 sn = size - 1;
        bytes32 r = leaf;
        for (uint256 i; i < path.length; i++) {
            if (sn == 0) return false;
            if (fn & 1 == 1 || fn == sn) {
                r = sha256(abi.encodePacked(bytes1(0x01), path[i], r));
                while (fn & 1 == 0 && fn != 0) {
                    fn >>= 1;
                    sn >>= 1;
                }
            } else {
                r = sha256(abi.encodePacked(bytes1(0x01), r, path[i]));
            }
            fn >>= 1;
            sn >>= 1;
        }
        return sn == 0 && r == root;
    }

    function _fits(uint256 all, uint256 skip, uint256 most) private pure returns (uint256) {
        if (skip >= all) return 0;
        return all - skip < most ? all - skip : most;
    }

    function _head(bytes32 log, uint256 index) private view returns (Head memory) {
        Seen storage one = seen[log][index];
        return Head(one.size, kept[log][one.size][one.order], keys[one.member], one.number, one.order > 0);
    }
}
