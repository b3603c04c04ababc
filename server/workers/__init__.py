"""The processes that serve, and the one that keeps them alive."""
