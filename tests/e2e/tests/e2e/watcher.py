"""Watches the paths that it is given, and prints what inotify(7) tells: the path, what happened, and the name."""
import ctypes
import os
import struct
import sys

KINDS = {
    0x2: "MODIFY", 0x4: "ATTRIB", 0x8: "CLOSE_WRITE", 0x40: "MOVED_FROM", 0x80: "MOVED_TO", 0x100: "CREATE", 0x200: "DELETE",
    0x400: "DELETE_SELF", 0x800: "MOVE_SELF",
}
libc = ctypes.CDLL(None, use_errno=True)
inotify = libc.inotify_init1(0)
paths = {libc.inotify_add_watch(inotify, path.encode(), sum(KINDS)): path for path in sys.argv[1:]}
print("watching", len(paths), flush=True)
while True:
    events = os.read(inotify, 65536)
    while events:
        number, mask, cookie, length = struct.unpack_from("iIII", events)
        name = events[16:16 + length].rstrip(b"\0").decode()
        print(paths[number], KINDS.get(mask & 0xfff, hex(mask)), name, flush=True)
        events = events[16 + length:]
