"""What the commands tell a script."""

OK, FAILED, MISUSED, INTERRUPTED = 0, 1, 2, 130
