"""What others than the operator keep: heads of the log and business events, and the rules for them.

`entries` are the deeds; `rules` decide what each does to the state. A Solidity contract, a Fabric
chaincode and a second party's file apply the same rules to the same deeds.
"""
