"""The settings: what there is, where it comes from, and what is wrong or doubtful about it."""
