// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Membership} from "./Membership.sol";

/// Heads of logs. A second root of one size is kept beside the first and emitted: it is a fork. A root
/// that came under another signature is emitted and is none: whoever comes first with a false
/// signature, which this chain cannot check, must not keep the log's own one away.
abstract contract Heads is Membership {
    uint256 internal constant ROOTS = 64; // of one size, and one more of each sender

    uint256 internal constant PATH = 64; // hashes: fewer than 2^64 leaves

    struct Seen {
        uint64 size;
        uint64 number; // of the block
        uint16 member;
        uint16 order; // 0 is the first root of its size
        uint32 previous; // of the same size, if its order is not 0
        bytes32 root;
    }

    struct Size {
        uint16 count; // of roots
        uint32 first; // in `seen`
        uint32 last;
    }

    struct Head {
        uint64 size;
        bytes32 root;
        bytes32 member;
        uint64 number;
    }

    mapping(bytes32 log => Seen[]) internal seen;
    mapping(bytes32 log => uint32[]) internal forked; // indices in `seen`
    mapping(bytes32 log => mapping(uint64 size => Size)) internal sizes;
    mapping(bytes32 log => uint64) internal greatest;
    mapping(bytes32 log => mapping(uint16 member => uint64)) internal last;

    function anchor(bytes32 log, uint64 size, bytes32 root, bytes32[2] calldata signature)
        external
        returns (uint8)
    {
        uint16 me = _sender(5);
        _narrow(size);
        bytes32 here = keccak256(abi.encode(msg.sig, log, size, root));
        if (_repeated(keccak256(abi.encode(here, signature)))) return KNOWN;
        uint64 before = last[log][me];
        if (size < before) revert Refusal("smaller");
        last[log][me] = size;
        if (_repeated(here)) {
            // A word more than `here` has: else a root could be chosen that uses up what a member may say.
            bytes32 once = keccak256(abi.encode(msg.sig, log, size, me, bytes32("other")));
            if (_repeated(once)) revert Refusal("other_signature");
            return _keep(me, log, false);
        }
        Seen[] storage all = seen[log];
        Size memory one = sizes[log][size];
        if (one.count >= ROOTS && size == before) revert Refusal("full");
        uint32 index = uint32(all.length);
        all.push(Seen(size, uint64(block.number), me, one.count, one.last, root));
        if (one.count > 0) forked[log].push(index);
        sizes[log][size] = Size(one.count + 1, one.count > 0 ? one.first : index, index);
        if (size > greatest[log]) greatest[log] = size;
        return _keep(me, log, one.count > 0);
    }

    /// The greatest size with the first root that was kept of it; zeros if there is none.
    function head(bytes32 log) external view returns (uint64 size, bytes32 root) {
        size = greatest[log];
        Size storage one = sizes[log][size];
        if (one.count > 0) root = seen[log][one.first].root;
    }

    /// Every root of a size, the first one first.
    function roots(bytes32 log, uint64 size) external view returns (bytes32[] memory all) {
        Size storage one = sizes[log][size];
        all = new bytes32[](one.count);
        uint32 next = one.last;
        for (uint256 i = all.length; i > 0; i--) {
            all[i - 1] = seen[log][next].root;
            next = seen[log][next].previous;
        }
    }

    /// Up to `most` heads, the newest first, beginning after `skip`, and how many there are.
    function heads(bytes32 log, uint256 skip, uint256 most) external view returns (Head[] memory page, uint256 all) {
        all = seen[log].length;
        page = new Head[](_fits(all, skip, most));
        for (uint256 i; i < page.length; i++) page[i] = _head(seen[log][all - 1 - skip - i]);
    }

    /// As `heads`, those that contradict an earlier one; `firsts` are the ones that they contradict.
    function forks(bytes32 log, uint256 skip, uint256 most)
        external
        view
        returns (Head[] memory page, Head[] memory firsts, uint256 all)
    {
        all = forked[log].length;
        page = new Head[](_fits(all, skip, most));
        firsts = new Head[](page.length);
        for (uint256 i; i < page.length; i++) {
            Seen storage one = seen[log][forked[log][all - 1 - skip - i]];
            page[i] = _head(one);
            firsts[i] = _head(seen[log][sizes[log][one.size].first]);
        }
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

    function _head(Seen storage one) private view returns (Head memory) {
        return Head(one.size, one.root, keys[one.member], one.number);
    }
}
