#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""lint.py - what the style guide and the layout promise, checked.

Each check is a function that yields complaints. `make lint` runs all of them;
names on the command line run some. The programs' link lists come from the
Makefile, so what is checked is what is linked.
"""
import argparse
import os
import re
import shutil
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))

# Which folders a folder may include; itself is understood.
INCLUDES = {
    "base": "",
    "os": "base",
    "text": "base",
    "conf": "os text base",
    "ipc": "os base",
    "net": "os base",
    "imap": "text base",
    "mime": "text base",
    "index": "mime os base",
    "store": "index mime text os base",
    "search": "store index mime text base",
    "host": "store index mime text net ipc os base",
}
# Which folders of common/ a program may link, as in the table of processes.
# `conf` is only for main.c and settings.c of a program, checked below.
LINKS = {
    "restanted": "base os text conf ipc net",
    "login": "base os text ipc net imap",
    "keyd": "base os ipc",
    "authd": "base os text ipc",
    "spoold": "base os ipc",
    "logd": "base os ipc",
    "imapd": "base os text ipc net imap mime index store search host",
    "pop3d": "base os text ipc net mime index store host",
    "restantectl": "base os text conf ipc mime index store",
}
# master's net/addr is the one module outside its row: it compares addresses.
MODULES_FOR_MASTER = {"net/addr.h"}
# Headers of `os` that a pure library may have for time or randomness: none.

BANNED = {
    "strcpy", "strcat", "sprintf", "vsprintf", "strtok", "strtok_r",
    "strncpy", "strncat", "atoi", "atol", "atoll", "strtol", "strtoul",
    "strtoll", "strtoull", "alloca", "gets", "scanf", "sscanf", "fscanf",
    "vsscanf", "signal", "system", "popen", "tmpnam", "mktemp", "rand",
}


def tracked(*suffixes):
    """Files of the tree; git knows them, else everything outside build."""
    try:
        out = subprocess.run(["git", "ls-files"], cwd=TOP, check=True,
                             stdout=subprocess.PIPE,
                             stderr=subprocess.DEVNULL).stdout.decode()
        names = out.split("\n")
    except (OSError, subprocess.CalledProcessError):
        names = []
        for root, dirs, files in os.walk(TOP):
            dirs[:] = [d for d in dirs
                       if not d.startswith(("build", "."))]
            names += [os.path.relpath(os.path.join(root, f), TOP)
                      for f in files]
    return sorted(n for n in names if n.endswith(suffixes) and
                  os.path.exists(os.path.join(TOP, n)))


def read(name):
    with open(os.path.join(TOP, name), errors="replace") as f:
        return f.read()


CODE = re.compile(
    r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def code_only(text):
    """Without comments and strings; line numbers stay."""
    def blank(match):
        s = match.group(0)
        return '""' if s[0] == '"' else "\n" * s.count("\n")
    return CODE.sub(blank, text)


def check_head():
    for name in tracked(".c", ".h"):
        lines = read(name).split("\n")
        if lines[0] != "/* SPDX-License-Identifier: ISC */":
            yield "%s:1: no licence line" % name
        elif not lines[1].startswith("/*"):
            yield "%s:2: no opening comment" % name
    for name in tracked(".py", ".sh"):
        if "SPDX-License-Identifier: ISC" not in read(name)[:200] and \
                read(name).strip():
            yield "%s:1: no licence line" % name


def check_guard():
    for name in tracked(".h"):
        folder, base = os.path.split(name)
        want = "%s_%s_H" % (os.path.basename(folder), base[:-2])
        want = want.upper().replace("-", "_").replace(".", "_")
        text = read(name)
        if "#ifndef " + want not in text:
            found = re.search(r"#ifndef (\w+_H)\b", text)
            # A header that is in a backend's folder may carry both folders.
            base_only = want.split("_", 1)[1] if "_" in want else want
            if not found or not found.group(1).endswith(base_only):
                yield "%s: guard is not %s" % (name, want)


def check_banned():
    word = re.compile(r"\b(%s)\s*\(" % "|".join(sorted(BANNED)))
    for name in tracked(".c", ".h"):
        if name.startswith("tests/") or name.endswith("_test.c"):
            continue
        for number, line in enumerate(code_only(read(name)).split("\n"), 1):
            match = word.search(line)
            if match:
                yield "%s:%d: %s() is banned" % (name, number,
                                                 match.group(1))
            if re.search(r"#\s*include\s*<ctype.h>", line):
                yield "%s:%d: ctype.h is banned" % (name, number)


def folder_of(name):
    parts = name.split("/")
    if parts[0] == "common" and len(parts) > 2:
        return parts[1]
    if parts[0] == "master" and len(parts) > 2:
        return "master/" + parts[1]
    return parts[0]


def program_of(folder):
    return {"master": "restanted", "master/login": "login",
            "master/key": "keyd", "master/auth": "authd",
            "master/spool": "spoold", "master/log": "logd",
            "master/ctl": "restantectl", "imapd": "imapd",
            "pop3d": "pop3d"}.get(folder)


def check_includes():
    inner = re.compile(r'^\s*#\s*include\s*"([\w/.-]+)"', re.M)
    for name in tracked(".c", ".h"):
        if name.endswith(("_test.c", "_test.h")) or \
                name.startswith("tests/"):
            continue
        folder = folder_of(name)
        program = program_of(folder)
        text = re.sub(r"/\*.*?\*/", "", read(name), flags=re.S)
        for included in inner.findall(text):
            target = included.split("/")[0] if "/" in included else None
            if target is None or target not in INCLUDES:
                # Its own folder, config.h, or another program's folder.
                other = target and (program_of(target) or
                                    program_of("master/%s" % target))
                if other not in (None, program):
                    yield "%s: includes %s" % (name, included)
                continue
            if folder in INCLUDES:
                if target != folder and \
                        target not in INCLUDES[folder].split():
                    yield "%s: %s may not include %s" % (name, folder,
                                                         included)
            elif program:
                if target == "conf" and os.path.basename(name) not in (
                        "main.c", "settings.c", "settings.h") and \
                        program != "restantectl" and \
                        program != "restanted":
                    yield "%s: conf is for main.c and settings.c" % name
                elif target != "conf" and \
                        target not in LINKS[program].split():
                    yield "%s: %s may not include %s" % (name, program,
                                                         included)


def declarations(text):
    """(line, text, has_comment) of what a header declares at its left edge. A
    comment is for all that stands below it without a blank line between."""
    lines = text.split("\n")
    at, commented = 0, False
    while at < len(lines):
        line, first = lines[at], at
        at += 1
        if line.startswith("/*"):
            while "*/" not in lines[at - 1]:
                at += 1
            commented = True
        elif line.startswith("#"):
            while lines[at - 1].endswith("\\"):
                at += 1
        elif not line:
            commented = False
        elif line[0] not in "\t }":
            whole = line
            while not (re.sub(r"/\*.*?\*/", "", whole, flags=re.S).rstrip()
                       .endswith((";", "}")) and
                       whole.count("{") == whole.count("}")) and \
                    at < len(lines):
                whole += "\n" + lines[at]
                at += 1
            yield first + 1, whole, commented or (
                "(" not in whole.split("{")[0] and "/*" in whole)


def check_comments():
    """What a header declares is explained, but for one-line accessors and
    names that are declared to be used as pointers."""
    plain = re.compile(r"static inline |(struct|enum) \w+;|typedef struct")
    for name in tracked(".h"):
        if name.startswith("tests/") or name.endswith("_test.h"):
            continue
        for number, text, commented in declarations(read(name)):
            if not commented and not plain.match(text):
                yield "%s:%d: no comment: %s" % (name, number,
                                                 text.split("\n")[0])


def check_links(programs):
    seen = set()
    for entry in programs:
        name, _, rest = entry.partition(":")
        folder, _, libs = rest.partition(":")
        seen.add(name)
        if name not in LINKS:
            yield "%s (%s) is not in the table of processes" % (name, folder)
            continue
        for lib in filter(None, libs.split(",")):
            short = lib.split("/")[1] if lib.startswith("common/") else lib
            if short == "conf":
                continue  # the plain form; libconfuse is checked below
            if short not in LINKS[name].split():
                yield "%s may not link %s" % (name, lib)
    for name in sorted(set(LINKS) - seen):
        yield "%s is not built" % name


# Libraries that must not be in a process, by what the dynamic loader sees.
NEVER = {
    "restanted": "gnutls gsasl nettle unistring",
    "imapd": "gnutls pam gsasl confuse crypt",
    "pop3d": "gnutls pam gsasl confuse crypt",
    "login": "pam gsasl confuse crypt",
    "keyd": "pam gsasl confuse",
    "authd": "gnutls confuse unistring",
    "spoold": "gnutls pam gsasl confuse nettle",
    "logd": "gnutls pam gsasl confuse nettle",
}


def check_needed(build):
    for name, words in NEVER.items():
        path = os.path.join(build, "bin", name)
        if not os.path.exists(path):
            continue
        out = subprocess.run(["objdump", "-p", path], check=True,
                             stdout=subprocess.PIPE).stdout.decode()
        for needed in re.findall(r"NEEDED\s+lib([\w+-]+?)[.-]", out):
            if needed in words.split():
                yield "%s is linked with lib%s" % (name, needed)
        if "RELRO" not in out or not re.search(r"FLAGS\s+0x\w*8", out):
            yield "%s is not linked with -z relro -z now" % name


def check_settings():
    """Every setting of the table is read by somebody."""
    names = re.findall(r'\.name = "(\w+)"', "".join(
        read(n) for n in tracked(".c") if n.startswith("common/conf/schema_")))
    text = "".join(read(n) for n in tracked(".c", ".h")
                   if not n.startswith(("common/conf/", "tests/")) and
                   not n.endswith("_test.c"))
    for name in names:
        if not re.search(r'"(?:imap:|pop3:|%%s:)?%s"' % name, text):
            # Names that are put together: log_user from "log" and "_user",
            # imap_port from a table of listeners.
            stem, _, tail = name.rpartition("_")
            if tail in ("port", "listen", "user") and (
                    '"_%s"' % tail in text or '%%s_%s' % tail in text):
                continue
            yield "setting %s is read by nobody" % name


def run_tool(argv, **kw):
    return subprocess.run(argv, cwd=TOP, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, **kw)


def check_format():
    tool = shutil.which("clang-format-14") or shutil.which("clang-format")
    # Versions differ in details; 14, Debian 12's, decides.
    if not tool or b" 14." not in run_tool([tool, "--version"]).stdout:
        return
    files = tracked(".c", ".h")
    out = run_tool([tool, "--dry-run", "-Werror"] + files)
    if out.returncode:
        for line in out.stdout.decode().split("\n"):
            if ": error:" in line:
                yield line


def check_cppcheck():
    if not shutil.which("cppcheck"):
        return
    lists = ["--suppressions-list=tests/lint/cppcheck.txt"]
    said = run_tool(["cppcheck", "--version"]).stdout.decode()
    version = re.search(r"(\d+)\.(\d+)", said)
    if version and tuple(int(x) for x in version.groups()) > (2, 10):
        lists.append("--suppressions-list=tests/lint/cppcheck-newer.txt")
    out = run_tool([
        "cppcheck", "-q", "--enable=warning,portability",
        "--inline-suppr", "--error-exitcode=1", "-j2",
        "--template={file}:{line}: {id}: {message}",
        *lists, "-Icommon", "-Imaster", "-I.", "-D_GNU_SOURCE",
        "-DSYSCONFDIR=\"/etc\"", "-DLOCALSTATEDIR=\"/var\"",
        "-DPKGLIBEXECDIR=\"/usr/libexec/restante\"",
        "common", "master", "imapd", "pop3d"])
    if out.returncode:
        yield from filter(None, out.stdout.decode().split("\n"))


def check_man():
    pages = tracked(*[".%d" % i for i in range(1, 10)])
    pages = [p for p in pages if p.startswith("man/")]
    wanted = ["restanted.8", "restantectl.8", "login.8", "authd.8",
              "imapd.8", "pop3d.8", "restante.conf.5",
              "restante-processes.7", "restante-mbox.7",
              "restante-imap.7"]
    for page in wanted:
        if "man/" + page not in pages:
            yield "man/%s is missing" % page
    for page in pages:
        if shutil.which("mandoc"):
            out = run_tool(["mandoc", "-T", "lint", "-W", "style", page])
            for line in out.stdout.decode().split("\n"):
                # Pages that are not installed here, and dates, are no fault.
                if line and "referenced manual not found" not in line and \
                        "outdated mandoc.db" not in line:
                    yield line
        if shutil.which("groff"):
            out = run_tool(["groff", "-mandoc", "-ww", "-z", page])
            yield from filter(None, out.stdout.decode().split("\n"))


def check_capabilities():
    """What imapd announces has an entry in restante-imap(7)."""
    named = set()
    for line in read("man/restante-imap.7").split("\n"):
        if line.startswith(".It Li "):
            named |= set(line[7:].replace('"', "").split(", "))
    source = read("imapd/capability.c")
    texts = re.findall(r'"([^"\n]*)"', source)
    for text in texts:
        for word in re.findall(r"[A-Z][A-Za-z0-9+=-]*", text):
            if word != "CAPABILITY" and word not in named:
                yield "restante-imap.7 does not explain %s" % word


def check_fuzz():
    """Every fuzz target has a corpus and a dictionary."""
    for name in tracked(".c"):
        match = re.match(r"tests/fuzz/fuzz_(\w+)\.c$", name)
        if not match:
            continue
        short = match.group(1)
        if not os.path.isdir(os.path.join(TOP, "tests/fuzz/corpus", short)):
            yield "%s has no corpus/%s" % (name, short)
        if not os.path.exists(os.path.join(TOP, "tests/fuzz",
                                           short + ".dict")):
            yield "%s has no %s.dict" % (name, short)


def check_subjects():
    """Commit subjects, of what git has here."""
    yield from ()
    out = run_tool(["git", "log", "--no-merges", "--format=%h %s", "-200"])
    if out.returncode:
        return
    for line in out.stdout.decode().split("\n"):
        commit, _, subject = line.partition(" ")
        if not subject:
            continue
        if len(subject) > 72:
            # What is in the history stays there: a word, no failure.
            print("    note: %s: subject over 72 characters" % commit)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", default=os.path.join(TOP, "build"))
    parser.add_argument("--program", action="append", default=[])
    parser.add_argument("checks", nargs="*")
    options = parser.parse_args()
    checks = {
        "head": check_head, "guard": check_guard, "banned": check_banned,
        "includes": check_includes, "comments": check_comments,
        "links": lambda: check_links(options.program),
        "needed": lambda: check_needed(options.build),
        "settings": check_settings, "format": check_format,
        "cppcheck": check_cppcheck, "man": check_man,
        "capabilities": check_capabilities, "fuzz": check_fuzz,
        "subjects": check_subjects,
    }
    bad = 0
    for name in options.checks or checks:
        complaints = list(checks[name]())
        print("  %-8s%s" % ("ok" if not complaints else "FAILED", name))
        for c in complaints:
            print("    " + c)
        bad += len(complaints)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
