# SPDX-License-Identifier: ISC
"""tools/deps where something cannot be had: it says what happened and what to do.  apt and root are the test's own."""
import os
import subprocess

from processes import DEADLINE_S, TOP

APT_CACHE = """#!/bin/sh
case " $WITHOUT " in *" $2 "*) echo '  Candidate: (none)' ;; *) echo '  Candidate: 1.0' ;; esac
"""
SUDO = """#!/bin/sh
case "$*" in
*--as-root*) echo 'E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 1 (apt)'; exit 100 ;;
*update*) exit "${UPDATE:-0}" ;;
esac
"""
STUBS = {"apt-get": "#!/bin/sh\nexit 100\n", "apt-cache": APT_CACHE, "sudo": SUDO, "id": "#!/bin/sh\necho 1000\n"}


def deps(folder, *stubs, goal="build", **env):
    """The output of `tools/deps GOAL` by a user to whom a compiler and all headers are missing; it fails."""
    for name in stubs:
        folder.write("bin/" + name, STUBS[name], 0o755)
    for name in ("sh", "awk", "sed", "grep", "env", "make", "cat"):
        os.symlink("/usr/bin/" + name, folder / "bin/" + name)
    done = subprocess.run(["/bin/sh", os.path.join(TOP, "tools/deps"), goal], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=DEADLINE_S, cwd=TOP,
                          env={"PATH": folder / "bin", "CC": "/nonexistent/cc", **env})
    assert done.returncode == 1, done
    text = done.stdout.decode()
    assert "<fcgiapp.h>              (package libfcgi-dev)" in text
    return text


def test_without_apt(folder):
    """No apt-get: what is missing, and that it is to be installed by hand."""
    assert "there is no apt-get here; please install the above by hand" in deps(folder, "id")


def test_without_root(folder):
    """Neither root nor sudo: the same."""
    assert "this needs root, or sudo; please install the above by hand" in deps(folder, "id", "apt-get")


def test_apt_is_locked(folder):
    """Another program holds apt's lock: apt's words, and what to do."""
    text = deps(folder, *STUBS, UPDATE="100")
    assert "apt-get update failed; going on" in text and "Could not get lock" in text
    assert "try again when that has ended; or install by hand: apt-get install gcc libc6-dev" in text


def test_a_package_that_apt_has_not(folder):
    """A package that apt does not know is named, and hinders no other."""
    text = deps(folder, *STUBS, WITHOUT="libmd-dev")
    assert "apt has no package libmd-dev: another repository may have it, or install by hand what is missing" in text
    assert "without starting any service: " in text and "libcjson-dev\n" in text


def test_a_folder_is_not_taken_for_a_module(folder):
    """redis/ lies in the tree, and Python's redis is missing all the same."""
    python = folder.write("bin/python-without-modules", "#!/bin/sh\nexec /usr/bin/python3 -S \"$@\"\n", 0o755)
    text = deps(folder, "id", goal="check", PYTHON=python)
    assert "Python's redis           (package python3-redis)" in text
