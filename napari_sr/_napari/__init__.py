"""The face in napari.

This folder alone says napari, magicgui or Qt. It gathers what the user wants, runs the
upscaling flow in a thread and shows the result where it belongs in the world.
"""
