"""What a window needs of the flows, without one: all of it runs, and is tested, alone.

Flows are called in threads, and load torch there.
"""
