"""One file for each peer, which is imported only where the peer is installed."""
