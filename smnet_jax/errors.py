"""The one exception that means "the input is at fault, not the program"."""


class InputError(ValueError):
    """Something the user handed over cannot be used.

    The message is one line: the file (or option), what is wrong with it, and the remedy. The command line prints
    it without a traceback and ends with exit code 2; in Python it is an ordinary ValueError.
    """
