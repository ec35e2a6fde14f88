"""The only code that knows where the kernel keeps things. Standard library only."""
