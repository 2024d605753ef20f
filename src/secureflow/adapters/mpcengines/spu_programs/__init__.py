"""What runs inside SPU's own interpreter: Python 3.11, NumPy and `spu`, and nothing of SecureFlow.

The folder is a package of its own there (`__main__`), so nothing in it imports anything of
`secureflow`; the agent's side is `adapters.mpcengines.spu`. Its files together are the program that
the parties agree on by digest.
"""
