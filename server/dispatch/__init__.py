"""From a request to its handler: who calls, what repeats, what must wait, what is written down."""
