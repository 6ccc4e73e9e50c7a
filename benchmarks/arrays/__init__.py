"""Losses over arrays: jitgrad, hand-written code and other libraries on the same rows."""
