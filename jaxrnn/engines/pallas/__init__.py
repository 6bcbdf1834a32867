"""The loop over time as one Pallas kernel: programs, the two loops, and how platforms run them."""
