"""`python -m tests.bench`: qboxrelay and its peers under the same load, as ratios of one run."""

from tests.bench.peers.run import main

if __name__ == "__main__":
    main()
