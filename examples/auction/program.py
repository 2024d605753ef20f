"""An auction with sealed bids, for MPyC: the highest bid wins, and only that one is opened.

MPyC runs it as it is, also without SecureFlow: python program.py -M3 -I0 40, and so on.
"""

import argparse

from mpyc.runtime import mpc


async def main() -> None:
    """Compare the bids of all parties."""
    parser = argparse.ArgumentParser()
    parser.add_argument("-b", "--bits", type=int, default=16, help="of a bid")
    parser.add_argument("bid", type=int, nargs="?", default=0, help="this party's own, if any")
    args = parser.parse_args()
    secint = mpc.SecInt(args.bits)
    await mpc.start()
    winner, highest = mpc.argmax(mpc.input(secint(args.bid)))
    # Opened to the first party alone: no setting of the job changes that.
    print("winner", await mpc.output(winner, receivers=0))
    print("price", await mpc.output(highest, receivers=0))
    await mpc.shutdown()


if __name__ == "__main__":
    mpc.run(main())
