"""Mistakes that people make, each in a few lines, with what a test says of it by itself; and their sound twins.

The rows are in `calls` (of an extension to Lambda), `listeners`, `processes` and `authors` (of tests).
"""
