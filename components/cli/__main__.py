"""Lets ``python -m`` run the command line of a checkout."""

import sys

from . import main

sys.exit(main())
