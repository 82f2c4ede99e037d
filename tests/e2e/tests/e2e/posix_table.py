"""What a file system answers to calls that are easily got wrong: `posix_table.py DIRECTORY`.

Run by root, as which it becomes others. Prints a line for each call: its result, or the error's name. What it prints on a share has
to be what it prints on the host's own file system.
"""

import ctypes
import errno
import fcntl
import mmap
import os
import stat
import sys
import time

libc = ctypes.CDLL(None, use_errno=True)
USER, OTHER = 1000, 1001


def call(name, *arguments):
    """A function of the C library that Python does not have."""
    converted = [a.encode() if isinstance(a, str) else ctypes.c_long(a) for a in arguments]
    result = getattr(libc, name)(*converted)
    if result < 0:
        raise OSError(ctypes.get_errno(), name)
    return result


def say(what, do):
    try:
        result = do()
    except OSError as error:
        result = errno.errorcode[error.errno]
    print(f"{what}: {'ok' if result is None else result}", flush=True)


def as_user(uid, do, groups=()):
    """Does it in a process of that user's."""
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        os.setgroups(list(groups))
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
        do()
        sys.stdout.flush()
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    if status != 0:
        print(f"a process of user {uid} ended with {status}")


def make(name, content=b"", mode=0o644, owner=0):
    with open(name, "wb") as file:
        file.write(content)
    os.chown(name, owner, owner)
    os.chmod(name, mode)
    return name


def read(name):
    with open(name, "rb") as file:
        return file.read()


def opened(name, flags, mode=0o644):
    file = os.open(name, flags, mode)
    os.close(file)


def mode_of(name):
    status = os.lstat(name)
    return f"{stat.filemode(status.st_mode)} {status.st_uid} {status.st_gid} {status.st_nlink} {status.st_size}"


def names():
    os.mkdir("full")
    make("full/x")
    os.mkdir("empty")
    make("file", b"content")
    os.symlink("file", "link")
    os.symlink("nowhere", "dangling")
    os.symlink("loop", "loop")
    say("rmdir of what is not empty", lambda: os.rmdir("full"))
    say("rmdir of a file", lambda: os.rmdir("file"))
    say("rmdir of a link to a directory", lambda: (os.symlink("empty", "to"), os.rmdir("to")))
    say("rmdir .", lambda: os.rmdir("full/."))
    say("rmdir ..", lambda: os.rmdir("empty/.."))
    say("unlink of a directory", lambda: os.unlink("empty"))
    say("unlink of nothing", lambda: os.unlink("nothing"))
    say("unlink below a file", lambda: os.unlink("file/x"))
    say("mkdir on a file", lambda: os.mkdir("file"))
    say("mkdir on a dangling link", lambda: os.mkdir("dangling"))
    say("mkdir with a slash", lambda: os.mkdir("slash/"))
    say("symlink on a name that is taken", lambda: os.symlink("a", "file"))
    say("link on a name that is taken", lambda: os.link("file", "link"))
    say("link of a directory", lambda: os.link("empty", "hard"))
    say("link of a symbolic link", lambda: os.link("link", "hardlink", follow_symlinks=False))
    say("it is one", lambda: os.readlink("hardlink") + " " + mode_of("hardlink"))
    say("readlink of a file", lambda: os.readlink("file"))
    say("open of a loop", lambda: opened("loop", os.O_RDONLY))
    say("name of 255", lambda: make("n" * 255) and None)
    say("name of 256", lambda: make("n" * 256))
    say("name of 255 bytes in UTF-8", lambda: make("é" * 127 + "x") and None)
    say("name that is no UTF-8", lambda: os.close(os.open(b"\xff\xfe\n", os.O_CREAT | os.O_WRONLY)))
    say("link with a target of 4095", lambda: (os.symlink("t" * 4095, "far"), len(os.readlink("far")))[1])
    say("path of 4096", lambda: os.stat("./" * 2048 + "file"))
    deep = "/".join(["d" * 200] * 10)
    say("a deep tree", lambda: os.makedirs(deep))
    say("file in it", lambda: make(deep + "/x") and None)
    say("open O_EXCL of a file", lambda: opened("file", os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    say("open O_EXCL of a dangling link", lambda: opened("dangling", os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    say("open O_NOFOLLOW of a link", lambda: opened("link", os.O_RDONLY | os.O_NOFOLLOW))
    say("open O_EXCL|O_NOFOLLOW of a link", lambda: opened("link", os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW))
    say("open O_DIRECTORY of a file", lambda: opened("file", os.O_RDONLY | os.O_DIRECTORY))
    say("open for writing of a directory", lambda: opened("empty", os.O_WRONLY))
    say("open O_CREAT of a directory", lambda: opened("empty", os.O_CREAT | os.O_RDONLY))
    say("open through a dangling link", lambda: opened("dangling", os.O_CREAT | os.O_WRONLY))
    say("made its target", lambda: mode_of("nowhere"))
    say("open with a slash", lambda: opened("file/", os.O_RDONLY))
    say("create with a slash", lambda: opened("new/", os.O_CREAT | os.O_WRONLY))
    say("O_PATH", lambda: opened("file", os.O_PATH))
    say("listing", lambda: sorted(os.listdir(b"."), key=len)[:-3])
    say("a listing while names go", removed_while_listed)


def removed_while_listed():
    os.mkdir("many")
    for number in range(150):
        make(f"many/{number}")
    with os.scandir("many") as entries:
        for entry in entries:
            os.unlink(entry.path)
    return os.listdir("many")


def renames():
    for directory in ["a", "b", "c", "c/d"]:
        os.mkdir(directory)
    make("a/x")
    make("f", b"f")
    make("g", b"g")
    say("rename over a file", lambda: (os.rename("f", "g"), read("g"))[1])
    say("rename of nothing", lambda: os.rename("f", "h"))
    say("rename of a file over a directory", lambda: os.rename("g", "b"))
    say("rename of a directory over a file", lambda: os.rename("b", "g"))
    say("rename over a directory that is not empty", lambda: os.rename("b", "a"))
    say("rename over an empty directory", lambda: (os.rename("a", "b"), os.listdir("b"))[1])
    say("rename into itself", lambda: os.rename("c", "c/d/e"))
    say("rename over a parent", lambda: os.rename("c/d", "c"))
    say("rename onto itself", lambda: os.rename("g", "g"))
    os.link("g", "hard")
    say("rename over the same file's other name", lambda: (os.rename("g", "hard"), os.path.exists("g"))[1])
    say("rename of .", lambda: os.rename("c/.", "e"))
    say("links of a directory", lambda: mode_of("c")[:10] + f" {os.stat('c').st_nlink}")
    at = -100
    say("RENAME_NOREPLACE", lambda: call("renameat2", at, "g", at, "hard", 1))
    say("RENAME_NOREPLACE to a new name", lambda: call("renameat2", at, "g", at, "i", 1))
    say("RENAME_EXCHANGE", lambda: call("renameat2", at, "i", at, "c", 2))
    say("exchanged", lambda: (mode_of("i")[0], mode_of("c")[0]))
    say("RENAME_EXCHANGE with nothing", lambda: call("renameat2", at, "i", at, "z", 2))
    file = os.open("c", os.O_RDWR)
    make("over", b"over")
    os.rename("over", "c")
    say("an open file that is renamed over", lambda: (os.pread(file, 9, 0), os.fstat(file).st_nlink))
    os.close(file)


def owners():
    os.mkdir("sticky")
    os.chmod("sticky", 0o1777)
    os.mkdir("closed", 0o700)
    make("closed/x", b"x", 0o644)
    make("private", b"p", 0o600)
    make("users", b"u", 0o644, USER)
    make("sticky/users", b"u", 0o666, USER)
    make("sticky/roots", b"r", 0o666)
    make("members", b"m", 0o640)
    os.chown("members", 0, 2000)
    os.mkdir("setgid")
    os.chown("setgid", 0, 2000)
    os.chmod("setgid", 0o2777)

    def other():
        say("other: open of what is private", lambda: opened("private", os.O_RDONLY))
        say("other: through a closed directory", lambda: os.stat("closed/x"))
        say("other: list a closed directory", lambda: os.listdir("closed"))
        say("other: chmod", lambda: os.chmod("users", 0o777))
        say("other: chown", lambda: os.chown("users", OTHER, OTHER))
        say("other: utime to now", lambda: os.utime("users"))
        say("other: utime", lambda: os.utime("users", (1, 1)))
        say("other: utime to now of what may be written", lambda: os.utime("sticky/users"))
        say("other: utime of what may be written", lambda: os.utime("sticky/users", (1, 1)))
        say("other: truncate", lambda: os.truncate("users", 0))
        say("other: setxattr", lambda: os.setxattr("users", "user.a", b"v"))
        say("other: unlink in a sticky directory", lambda: os.unlink("sticky/users"))
        say("other: rename in a sticky directory", lambda: os.rename("sticky/users", "sticky/mine"))
        say("other: rename over in a sticky directory", lambda: (make_own("sticky/own"), os.rename("sticky/own", "sticky/roots"))[1])
        say("other: unlink of its own in a sticky directory", lambda: os.unlink("sticky/own"))
        say("other: create in root's directory", lambda: make_own("closed/new"))
        say("other: link to root's file", lambda: os.link("private", "sticky/hard"))
        say("other: in a group that it is in", lambda: read("members"))
        say("other: access", lambda: (os.access("private", os.R_OK), os.access("users", os.R_OK)))
        say("other: in a setgid directory", lambda: (make_own("setgid/file"), os.mkdir("setgid/dir"), mode_of("setgid/file"), mode_of("setgid/dir")[:16])[2:])
        say("other: mknod of a device", lambda: os.mknod("sticky/device", stat.S_IFBLK | 0o600, os.makedev(8, 0)))
        say("other: mkfifo and socket", lambda: (os.mkfifo("sticky/fifo"), os.mknod("sticky/socket", stat.S_IFSOCK | 0o600), mode_of("sticky/fifo"), mode_of("sticky/socket"))[2:])

    def user():
        say("user: chmod of its own", lambda: (os.chmod("users", 0o4755), mode_of("users"))[1])
        say("user: writing takes setuid off", lambda: (append("users"), mode_of("users"))[1])
        say("user: chown of its own to itself", lambda: (os.chown("users", -1, USER), mode_of("users"))[1])
        say("user: gives its own away", lambda: os.chown("users", OTHER, -1))
        say("user: setgid of a group that it is not in", lambda: (make_own("setgid/mine"), os.chmod("setgid/mine", 0o2755), mode_of("setgid/mine"))[2])
        say("user: a mode without rights", lambda: (os.close(os.open("sticky/none", os.O_CREAT | os.O_RDWR, 0)), mode_of("sticky/none"))[1])
        say("user: opens it again", lambda: opened("sticky/none", os.O_RDONLY))
        os.umask(0o077)
        say("user: umask", lambda: (make_own("sticky/masked", 0o666), os.mkdir("sticky/maskeddir", 0o777), mode_of("sticky/masked"), mode_of("sticky/maskeddir")[:14])[2:])

    as_user(OTHER, other, [2000])
    as_user(USER, user)
    say("root: chown takes setuid off", lambda: (make("suid", b"s", 0o755), os.chmod("suid", 0o6755), os.chown("suid", 1, 1), mode_of("suid"))[3])
    say("root: truncate keeps setuid", lambda: (os.chmod("suid", 0o6755), os.truncate("suid", 0), mode_of("suid"))[2])
    say("chown of a link", lambda: (os.symlink("suid", "link"), os.lchown("link", 7, 8), mode_of("link"), os.stat("suid").st_uid)[2:])
    say("capability of a file", lambda: (os.setxattr("suid", "security.capability", bytes.fromhex("0100000200040000000000000000000000000000")), append("suid"), os.listxattr("suid"))[2])


def make_own(name, mode=0o644):
    os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_RDWR, mode))


def append(name):
    file = os.open(name, os.O_WRONLY | os.O_APPEND)
    os.write(file, b"+")
    os.close(file)


def contents():
    make("gone", b"still here")
    file = os.open("gone", os.O_RDWR)
    os.unlink("gone")
    say("unlinked but open", lambda: (os.pread(file, 99, 0), os.fstat(file).st_nlink, os.path.exists("gone")))
    say("unlinked and written", lambda: (os.pwrite(file, b"and", 20), os.ftruncate(file, 25), os.fstat(file).st_size, os.pread(file, 99, 0))[2:])
    say("unlinked and changed", lambda: (os.fchmod(file, 0o600), os.fchown(file, 3, 4), os.utime(file, (5, 6)), os.fstat(file).st_uid, os.fstat(file).st_mtime)[3:])
    say("unlinked and opened again", lambda: os.pread(os.open(f"/proc/self/fd/{file}", os.O_RDONLY), 5, 0))
    say("unlinked and linked", lambda: call("linkat", -100, f"/proc/self/fd/{file}", -100, "back", 0x400))
    os.close(file)
    os.mkdir("gonedir")
    directory = os.open("gonedir", os.O_RDONLY)
    os.rmdir("gonedir")
    say("in a directory that is gone", lambda: os.open("x", os.O_CREAT | os.O_WRONLY, dir_fd=directory))
    say("list a directory that is gone", lambda: os.listdir(directory))
    say("links of a directory that is gone", lambda: os.fstat(directory).st_nlink)
    os.close(directory)

    make("f", b"0123456789")
    file = os.open("f", os.O_RDWR)
    reading = os.open("f", os.O_RDONLY)
    say("ftruncate shorter and longer", lambda: (os.ftruncate(file, 4), os.ftruncate(file, 8), read("f"))[2])
    say("ftruncate of what is open for reading", lambda: os.ftruncate(reading, 1))
    say("ftruncate below zero", lambda: os.ftruncate(file, -1))
    say("truncate of a directory", lambda: os.truncate(".", 1))
    say("write to what is open for reading", lambda: os.write(reading, b"x"))
    say("read of a directory", lambda: os.read(os.open(".", os.O_RDONLY), 1))
    say("pread beyond the end", lambda: os.pread(file, 10, 100))
    say("a write far behind the end", lambda: (os.pwrite(file, b"!", 1 << 20), os.fstat(file).st_size, os.pread(file, 3, (1 << 20) - 2))[1:])
    say("O_TRUNC", lambda: (opened("f", os.O_WRONLY | os.O_TRUNC), os.fstat(file).st_size)[1])
    say("O_TRUNC with O_RDONLY", lambda: (os.pwrite(file, b"x", 0), opened("f", os.O_RDONLY | os.O_TRUNC), os.fstat(file).st_size)[2])
    one, two = os.open("f", os.O_WRONLY | os.O_APPEND), os.open("f", os.O_WRONLY | os.O_APPEND)
    for number in range(4):
        os.write(one, b"a%d" % number)
        os.write(two, b"b%d" % number)
    say("two that append", lambda: read("f"))
    say("seek does not matter to who appends", lambda: (os.lseek(one, 0, 0), os.write(one, b"end"), read("f")[-3:], os.lseek(one, 0, 1))[2:])
    say("pwrite of who appends", lambda: (os.pwrite(one, b"P", 0), read("f")[:1], read("f")[-1:])[1:])
    fcntl.fcntl(one, fcntl.F_SETFL, 0)
    say("no longer appends", lambda: (os.pwrite(one, b"Q", 0), read("f")[:1])[1])
    fcntl.fcntl(file, fcntl.F_SETFL, os.O_APPEND)
    say("appends from now on", lambda: (os.pwrite(file, b"R", 0), read("f")[-1:], read("f")[:1])[1:])
    for number in [one, two, file, reading]:
        os.close(number)
    say("vectors", vectors)
    say("copy_file_range", lambda: (make("from", b"0123456789"), make("to"), copy("from", "to"), read("to"))[2:])
    say("sendfile", lambda: os.sendfile(os.open("to", os.O_WRONLY), os.open("from", os.O_RDONLY), 2, 3))
    say("a shared map", mapped)
    say("fsync and fdatasync", lambda: (os.fsync(os.open("f", os.O_RDONLY)), os.fdatasync(os.open("f", os.O_RDWR)), os.fsync(os.open(".", os.O_RDONLY)))[2])
    say("O_SYNC", lambda: os.write(os.open("f", os.O_WRONLY | os.O_SYNC), b"synced"))
    say("O_DIRECT", direct)


def vectors():
    file = os.open("vectors", os.O_CREAT | os.O_RDWR)
    os.writev(file, [b"one", b"", b"two" * 3000])
    first, second = bytearray(4), bytearray(9000)
    return os.preadv(file, [first, second], 0), bytes(first), bytes(second[-4:])


def copy(source, target):
    return os.copy_file_range(os.open(source, os.O_RDONLY), os.open(target, os.O_WRONLY), 6, 2, 1)


def mapped():
    file = os.open("mapped", os.O_CREAT | os.O_RDWR)
    os.ftruncate(file, 10000)
    with mmap.mmap(file, 10000) as view:
        view[5000:5005] = b"hello"
        view.flush()
        seen = os.pread(file, 5, 5000)
        os.pwrite(file, b"world", 9000)
        return seen, bytes(view[9000:9005])


def direct():
    file = os.open("direct", os.O_CREAT | os.O_RDWR | os.O_DIRECT)
    with mmap.mmap(-1, 8192) as buffer:
        buffer[:5] = b"plain"
        os.pwritev(file, [buffer], 0)
        return os.fstat(file).st_size, read("direct")[:5]


def holes():
    file = os.open("holes", os.O_CREAT | os.O_RDWR)
    os.pwrite(file, b"d" * 4096, 64 << 10)
    os.ftruncate(file, 128 << 10)
    os.fsync(file)
    say("SEEK_DATA", lambda: os.lseek(file, 0, os.SEEK_DATA))
    say("SEEK_HOLE", lambda: os.lseek(file, 64 << 10, os.SEEK_HOLE))
    say("SEEK_DATA behind all", lambda: os.lseek(file, 100 << 10, os.SEEK_DATA))
    say("SEEK_HOLE at the end", lambda: os.lseek(file, 128 << 10, os.SEEK_HOLE))
    # Not collapsing and inserting, which Linux's FUSE refuses.
    keep, punch, zero = 1, 2, 16
    for what, flags, offset, length in [
        ("plain", 0, 120 << 10, 16 << 10),
        ("keeping the size", keep, 136 << 10, 16 << 10),
        ("punching without keeping", punch, 0, 4096),
        ("punching", keep | punch, 64 << 10, 4096),
        ("zeroing", zero, 136 << 10, 4096),
        ("nothing", 0, 0, 0),
        ("below zero", 0, -1, 4096),
        ("unknown", 1 << 20, 0, 4096),
    ]:
        say(f"fallocate {what}", lambda: (call("fallocate", file, flags, offset, length), os.fstat(file).st_size)[1])
    say("is punched", lambda: os.pread(file, 4096, 64 << 10).count(b"d"))
    say("fallocate of what is open for reading", lambda: call("fallocate", os.open("holes", os.O_RDONLY), 0, 0, 1))
    say("posix_fadvise", lambda: os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED))


def times():
    make("t", b"t")
    os.symlink("t", "l")
    say("utimensat", lambda: (os.utime("t", ns=(1_000_000_001, 2_000_000_002)), os.stat("t").st_atime_ns, os.stat("t").st_mtime_ns)[1:])
    say("of a link", lambda: (os.utime("l", ns=(3_000_000_003, 4_000_000_004), follow_symlinks=False), os.lstat("l").st_mtime_ns, os.stat("t").st_mtime_ns)[1:])
    say("before 1970", lambda: (os.utime("t", ns=(-1_500_000_000, -1)), os.stat("t").st_mtime_ns)[1])
    say("after 2038", lambda: (os.utime("t", ns=(0, 1 << 62)), os.stat("t").st_mtime_ns)[1])
    say("of an open file", lambda: (os.utime(os.open("t", os.O_RDONLY), ns=(7, 8)), os.stat("t").st_mtime_ns)[1])
    say("of a directory", lambda: (os.mkdir("d"), os.utime("d", ns=(9, 10)), os.stat("d").st_mtime_ns)[2])
    say("moves with a name in it", lambda: (make("d/x"), os.stat("d").st_mtime_ns > 10)[1])

    def moves(do, field):
        before = getattr(os.stat("t"), field)
        time.sleep(0.02)
        do()
        return getattr(os.stat("t"), field) > before

    say("writing moves mtime", lambda: moves(lambda: append("t"), "st_mtime_ns"))
    say("chmod moves ctime", lambda: moves(lambda: os.chmod("t", 0o600), "st_ctime_ns"))
    say("chmod leaves mtime", lambda: moves(lambda: os.chmod("t", 0o644), "st_mtime_ns"))
    say("link moves ctime", lambda: moves(lambda: os.link("t", "t2"), "st_ctime_ns"))
    say("rename over moves ctime of the other", lambda: moves(lambda: (make("u"), os.rename("u", "t2")), "st_ctime_ns"))
    say("a write of nothing leaves mtime", lambda: moves(lambda: os.write(os.open("t", os.O_WRONLY), b""), "st_mtime_ns"))


def attributes():
    make("x")
    os.symlink("x", "xl")
    say("setxattr", lambda: os.setxattr("x", "user.a", b"value"))
    say("getxattr", lambda: os.getxattr("x", "user.a"))
    say("XATTR_CREATE of what is there", lambda: os.setxattr("x", "user.a", b"2", os.XATTR_CREATE))
    say("XATTR_REPLACE of what is not", lambda: os.setxattr("x", "user.b", b"2", os.XATTR_REPLACE))
    say("an empty value", lambda: (os.setxattr("x", "user.b", b""), os.getxattr("x", "user.b"), sorted(os.listxattr("x")))[1:])
    say("a large value", lambda: (os.setxattr("x", "user.large", b"v" * 3000), len(os.getxattr("x", "user.large")))[1])
    say("too large a value", lambda: os.setxattr("x", "user.huge", b"v" * 70000))
    say("removexattr", lambda: os.removexattr("x", "user.large"))
    say("removexattr of what is not there", lambda: os.removexattr("x", "user.large"))
    say("getxattr of what is not there", lambda: os.getxattr("x", "user.none"))
    say("a name of 256", lambda: os.setxattr("x", "user." + "n" * 251, b""))
    say("a name without a class", lambda: os.setxattr("x", "plain", b""))
    say("of a link", lambda: os.setxattr("xl", "user.a", b"v", follow_symlinks=False))
    say("of a directory", lambda: (os.mkdir("xd"), os.setxattr("xd", "user.d", b"v"), os.listxattr("xd"))[2])
    say("of an open file", lambda: os.getxattr(os.open("x", os.O_RDONLY), "user.a"))


def unnamed():
    say("O_TMPFILE for reading", lambda: opened(".", os.O_TMPFILE & ~os.O_ACCMODE | os.O_RDONLY))
    say("O_TMPFILE", lambda: opened(".", os.O_TMPFILE | os.O_RDWR))
    file = os.open(".", os.O_TMPFILE | os.O_RDWR, 0o640)
    say("is no name's", lambda: (os.fstat(file).st_nlink, stat.filemode(os.fstat(file).st_mode), os.listdir(".")))
    say("is written", lambda: (os.write(file, b"unnamed"), os.pread(file, 9, 0), os.fstat(file).st_size)[1:])
    say("is changed", lambda: (os.fchmod(file, 0o604), os.ftruncate(file, 5), os.fsync(file), os.setxattr(file, "user.a", b"v"))[3])
    say("is opened again", lambda: os.pread(os.open(f"/proc/self/fd/{file}", os.O_RDONLY), 9, 0))
    say("gets a name", lambda: (call("linkat", -100, f"/proc/self/fd/{file}", -100, "named", 0x400), read("named"), mode_of("named"), os.getxattr("named", "user.a"))[1:])
    say("is the named file", lambda: (os.pwrite(file, b"UN", 0), read("named"), os.fstat(file).st_nlink, os.path.sameopenfile(file, os.open("named", os.O_RDONLY)))[1:])
    say("gets another", lambda: (os.link("named", "again"), os.unlink("named"), os.fstat(file).st_nlink)[2])
    other = os.open(".", os.O_TMPFILE | os.O_RDWR | os.O_EXCL, 0o600)
    say("one that is to have none", lambda: call("linkat", -100, f"/proc/self/fd/{other}", -100, "never", 0x400))
    os.mkdir("theirs")
    os.chown("theirs", USER, USER)
    as_user(USER, lambda: say("a user's", lambda: (os.fstat(os.open("theirs", os.O_TMPFILE | os.O_RDWR)).st_uid)))


def locks():
    make("lock", b"0123456789")
    file = os.open("lock", os.O_RDWR)
    fcntl.lockf(file, fcntl.LOCK_EX, 4, 2)

    def child():
        mine = os.open("lock", os.O_RDWR)
        say("lock of what another has", lambda: fcntl.lockf(mine, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 3))
        say("lock beside it", lambda: fcntl.lockf(mine, fcntl.LOCK_EX | fcntl.LOCK_NB, 2, 0))
        say("shared lock of it", lambda: fcntl.lockf(mine, fcntl.LOCK_SH | fcntl.LOCK_NB, 1, 3))

    as_user(0, child)
    fcntl.lockf(file, fcntl.LOCK_UN, 2, 3)
    as_user(0, lambda: say("the middle is free", lambda: fcntl.lockf(os.open("lock", os.O_RDWR), fcntl.LOCK_EX | fcntl.LOCK_NB, 2, 3)))
    as_user(0, lambda: say("the rest is not", lambda: fcntl.lockf(os.open("lock", os.O_RDWR), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 5)))
    os.close(os.open("lock", os.O_RDONLY))
    as_user(0, lambda: say("a close of another descriptor gives all back", lambda: fcntl.lockf(os.open("lock", os.O_RDWR), fcntl.LOCK_EX | fcntl.LOCK_NB)))
    say("exclusive lock of what is open for reading", lambda: fcntl.lockf(os.open("lock", os.O_RDONLY), fcntl.LOCK_EX | fcntl.LOCK_NB))
    fcntl.flock(file, fcntl.LOCK_EX)
    other = os.open("lock", os.O_RDWR)
    say("flock by another descriptor", lambda: fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB))
    say("shared flock by another descriptor", lambda: fcntl.flock(other, fcntl.LOCK_SH | fcntl.LOCK_NB))
    say("fcntl beside flock", lambda: fcntl.lockf(other, fcntl.LOCK_EX | fcntl.LOCK_NB))
    as_user(0, lambda: say("flock is kept by a fork", lambda: fcntl.flock(os.open("lock", os.O_RDWR), fcntl.LOCK_SH | fcntl.LOCK_NB)))
    os.close(file)
    say("flock goes with the last close", lambda: fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB))
    begun = time.monotonic()
    child = os.fork()
    if child == 0:
        time.sleep(0.3)
        os._exit(0)
    os.close(other)
    third = os.open("lock", os.O_RDWR)
    say("a lock that is waited for", lambda: (fcntl.flock(third, fcntl.LOCK_EX), time.monotonic() - begun >= 0.3)[1])
    os.waitpid(child, 0)


os.chdir(sys.argv[1])
os.umask(0o022)
for part in [names, renames, owners, contents, holes, times, attributes, unnamed, locks]:
    os.mkdir(part.__name__)
    os.chdir(part.__name__)
    part()
    os.chdir("..")
