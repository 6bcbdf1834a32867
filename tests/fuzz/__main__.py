"""``python -m tests.fuzz --seed N`` checks one random network, ``--count N`` many from there on."""

import argparse
import traceback

import jax

from tests import conftest  # noqa: F401  the settings of JAX for tests
from tests.fuzz.laws import check


def main():
    parser = argparse.ArgumentParser(prog="tests.fuzz", description=__doc__)
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--count", type=int, default=1, help="the number of networks")
    args = parser.parse_args()
    failed = []
    for seed in range(args.seed, args.seed + args.count):
        jax.config.update("jax_disable_most_optimizations", seed % 4 != 0)
        try:
            check(seed)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            traceback.print_exc()
            failed.append(seed)
        if seed % 50 == 49:
            jax.clear_caches()
    print(f"{args.count - len(failed)} of {args.count} networks obey the laws; others: {failed}")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
