"""What tasks are found by: the folding of texts, the vector of a task, and the terms of a search."""
