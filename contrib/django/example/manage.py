#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""The example site. Two terminals: manage.py runserver, manage.py runsseserver."""
import os
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.append(str(HERE.parent))  # fcgi_sse of this source tree, if none is installed
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chat.settings")


def prepare():
    """The tables and two users, at the first start."""
    import django
    from django.contrib.auth import get_user_model
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0)
    for name in ("admin", "tug"):
        if not get_user_model().objects.filter(username=name).exists():
            get_user_model().objects.create_superuser(name, password="demo")
            print("user %s, password demo" % name)


if __name__ == "__main__":
    from django.core.management import execute_from_command_line

    if sys.argv[1:2] == ["runserver"] and "RUN_MAIN" not in os.environ:
        prepare()
    execute_from_command_line(sys.argv)
