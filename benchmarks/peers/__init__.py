"""One file for each peer, imported only if the peer is installed."""
