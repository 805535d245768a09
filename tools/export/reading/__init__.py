"""Parts of read.py."""
