"""Random operations on a tree: `random_tree.py DIRECTORY SEED COUNT`, then all that is in it.

Prints what each operation answered and the tree at the end, which are the same for the same seed on every file system that
keeps its word.
"""

import ctypes
import errno
import hashlib
import mmap
import os
import random
import stat
import sys

libc = ctypes.CDLL(None, use_errno=True)
chance = random.Random(int(sys.argv[2]))
opened = []


def path(directory=False):
    """A name that may be there: few enough that operations meet, and mostly of what is meant."""
    last = "ABC" if directory != (chance.random() < 0.1) else "abcdef"
    return "/".join([chance.choice("ABC") for _ in range(chance.choice([0, 0, 0, 1, 1, 2]))] + [chance.choice(last)])


def some_directory():
    return path(directory=True)


def pair():
    """Two names of one kind."""
    directory = chance.random() < 0.2
    return path(directory), path(directory)


def file_at(name, flags=os.O_RDWR):
    return os.open(name, flags | os.O_NOFOLLOW | os.O_NONBLOCK, 0o644)


def with_file(name, do, flags=os.O_RDWR):
    file = file_at(name, flags)
    try:
        return do(file)
    finally:
        os.close(file)


def digest(content):
    return hashlib.sha256(content).hexdigest()[:16]


def data():
    return bytes([chance.randrange(256)]) * chance.choice([1, 100, 4096, 5000, 70000])


def offset():
    return chance.choice([0, 1, 4095, 4096, 10000, 65536, 200000])


def content(file):
    return digest(os.pread(file, 1 << 20, 0))


def keep(file):
    """Keeps it open, whatever becomes of its name."""
    opened.append(file)
    if len(opened) > 8:
        os.close(opened.pop(0))


def write_kept():
    return os.pwrite(chance.choice(opened), data(), offset()) if opened else None


def read_kept():
    if opened:
        file = chance.choice(opened)
        return content(file), os.fstat(file).st_nlink, os.fstat(file).st_size


def fallocate(name, mode):
    where, length = ctypes.c_long(offset()), ctypes.c_long(chance.choice([1, 4096, 50000]))

    def do(file):
        if libc.fallocate(file, mode, where, length) < 0:
            raise OSError(ctypes.get_errno(), name)

    return with_file(name, do)


def map_write(name):
    value, place = chance.randrange(256), chance.random()

    def do(file):
        size = os.fstat(file).st_size
        if size:
            with mmap.mmap(file, size) as view:
                view[int(size * place)] = value

    return with_file(name, do)


def copy(source, target):
    a, b = offset(), offset()
    return with_file(source, lambda s: with_file(target, lambda t: os.copy_file_range(s, t, 30000, a, b) if s != t else None))


def exchange(one, other):
    if libc.renameat2(-100, one.encode(), -100, other.encode(), 2) < 0:
        raise OSError(ctypes.get_errno(), one)


def listing(name):
    return sorted(os.listdir(name))


OPERATIONS = {
    "create": (8, lambda: with_file(path(), lambda f: os.write(f, data()), os.O_CREAT | os.O_WRONLY)),
    "exclusive": (2, lambda: with_file(path(), lambda f: None, os.O_CREAT | os.O_EXCL | os.O_WRONLY)),
    "write": (10, lambda: with_file(path(), lambda f, d=data(), o=offset(): os.pwrite(f, d, o))),
    "append": (5, lambda: with_file(path(), lambda f: os.write(f, data()), os.O_WRONLY | os.O_APPEND)),
    "cut": (4, lambda: os.truncate(path(), offset())),
    "empty": (2, lambda: with_file(path(), lambda f: None, os.O_WRONLY | os.O_TRUNC)),
    "punch": (3, lambda: fallocate(path(), 3)),
    "allocate": (2, lambda: fallocate(path(), 0)),
    "map": (4, lambda: map_write(path())),
    "copy": (3, lambda: copy(path(), path())),
    "read": (6, lambda: with_file(path(), content, os.O_RDONLY)),
    "keep": (3, lambda: keep(file_at(path()))),
    "write kept": (5, write_kept),
    "read kept": (4, read_kept),
    "rename": (8, lambda: os.rename(*pair())),
    "exchange": (2, lambda: exchange(*pair())),
    "link": (4, lambda: os.link(path(), path(), follow_symlinks=False)),
    "symlink": (1, lambda: os.symlink(path(), path())),
    "unlink": (5, lambda: os.unlink(path())),
    "mkdir": (8, lambda: os.mkdir(some_directory())),
    "rmdir": (2, lambda: os.rmdir(some_directory())),
    "list": (3, lambda: listing(some_directory())),
    "mode": (3, lambda: os.chmod(path(), chance.choice([0o600, 0o644, 0o755, 0o4711, 0o2750]))),
    "owner": (3, lambda: os.chown(path(), chance.randrange(3), chance.randrange(3), follow_symlinks=False)),
    "time": (3, lambda: os.utime(path(), ns=(chance.randrange(1 << 50), chance.randrange(1 << 50)), follow_symlinks=False)),
    "set": (3, lambda: os.setxattr(path(), "user." + chance.choice("xyz"), data()[:200], follow_symlinks=False)),
    "remove": (1, lambda: os.removexattr(path(), "user." + chance.choice("xyz"), follow_symlinks=False)),
    "sync": (1, lambda: with_file(path(), os.fsync)),
}


def show(name):
    status = os.lstat(name)
    # Times that nobody set are the clock's.
    mtime = status.st_mtime_ns if status.st_mtime_ns < 1 << 51 else "now"
    print(name, stat.filemode(status.st_mode), status.st_uid, status.st_gid, status.st_nlink, mtime, end=" ")
    print(sorted((n, digest(os.getxattr(name, n, follow_symlinks=False))) for n in os.listxattr(name, follow_symlinks=False)), end=" ")
    if stat.S_ISLNK(status.st_mode):
        print(os.readlink(name))
    elif stat.S_ISREG(status.st_mode):
        print(status.st_size, with_file(name, content, os.O_RDONLY))
    else:
        print(listing(name))
        for entry in listing(name):
            show(f"{name}/{entry}")


os.umask(0o022)
os.chdir(sys.argv[1])
os.mkdir("tree")
os.chdir("tree")
names = list(OPERATIONS)
weights = [OPERATIONS[name][0] for name in names]
for number in range(int(sys.argv[3])):
    operation = chance.choices(names, weights)[0]
    # Not what came before: an operation that fails takes fewer chances.
    state = chance.getrandbits(64)
    chance = random.Random(state)
    try:
        answer = OPERATIONS[operation][1]()
    except OSError as error:
        answer = errno.errorcode[error.errno]
    print(number, operation, answer)
    chance = random.Random(state + 1)
show(".")
