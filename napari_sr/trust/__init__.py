"""How far a result can be trusted: a result and its recording to a report."""
