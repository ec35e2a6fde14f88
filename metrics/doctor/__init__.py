"""`manage.py doctor`: what this host can and cannot tell PerfWatch, and what to do about it.

It looks, and changes nothing.
"""
