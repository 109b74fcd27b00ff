"""`python -m corroseg_utils`: see cli.py."""

import sys

from corroseg_utils.cli import main

if __name__ == "__main__":
    sys.exit(main())
