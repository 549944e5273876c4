#!/usr/bin/env python
"""Django's command line for this project."""

import os
import sys

from django.core.management import execute_from_command_line

from transcribe_site import start

if __name__ == "__main__":
    # What a command writes, a database above all, is for the account of the site and its group.
    os.umask(os.umask(0o077) | 0o027)
    start.begin()
    execute_from_command_line(sys.argv)
