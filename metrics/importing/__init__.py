"""Brings in what others have stored: sources give rows one by one, batches of them are written.

`running` does a whole import; a page may take its portions one at a time instead.
"""
