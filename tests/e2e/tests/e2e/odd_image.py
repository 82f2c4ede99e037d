"""Adds a layer of unusual files to an OCI archive: odd_image.py ARCHIVE OUTPUT-DIRECTORY SPARSE-FILE-SIZE."""
import gzip, hashlib, io, json, os, sys, tarfile

archive, output, size = sys.argv[1], sys.argv[2], int(sys.argv[3])
with tarfile.open(archive) as tar:
    tar.extractall(output)
blob = lambda digest: os.path.join(output, "blobs", *digest.split(":"))


def put(data):
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    with open(blob(digest), "wb") as file:
        file.write(data)
    return {"digest": digest, "size": len(data)}


layer = io.BytesIO()
with tarfile.open(fileobj=layer, mode="w", format=tarfile.PAX_FORMAT, encoding="utf-8", errors="surrogateescape") as tar:

    def add(name, data=b"", **properties):
        entry = tarfile.TarInfo(name)
        entry.size = len(data)
        entry.mtime = 1234567890
        for key, value in properties.items():
            setattr(entry, key, value)
        tar.addfile(entry, io.BytesIO(data))

    directory = {"type": tarfile.DIRTYPE, "mode": 0o755}
    add("odd", **directory)
    add("odd/" + "n" * 255, b"a name of 255 bytes")
    path = "odd"
    for depth in range(20):
        path += "/%03d" % depth + "d" * 97
        add(path, **directory)
    add(path + "/file", b"a path of 2 KiB")
    add("odd/not utf-8 \udcff\udcfe", b"bytes")
    add("odd/line\nbreak", b"newline")
    add("odd/nanoseconds", b"time", pax_headers={"mtime": "1234567890.123456789"})
    add("odd/before-1970", b"time", pax_headers={"mtime": "-86399.5"})
    add("odd/after-2038", b"time", mtime=1 << 33)
    for mode in (0o4755, 0o2755, 0o6711, 0o1777, 0o000):
        add("odd/mode-%o" % mode, b"mode", mode=mode)
    add("odd/owner", b"owner", uid=4000000000, gid=123456)
    add("odd/char", type=tarfile.CHRTYPE, devmajor=1, devminor=3)
    add("odd/block", type=tarfile.BLKTYPE, devmajor=259, devminor=1048575)
    add("odd/fifo", type=tarfile.FIFOTYPE)
    add("odd/hard", type=tarfile.LNKTYPE, linkname="odd/owner", uid=4000000000, gid=123456)
    add("odd/soft", type=tarfile.SYMTYPE, linkname="/" + "t" * 4000)
    capability = bytes.fromhex("0100000200200000000000000000000000000000").decode("latin-1")
    add("odd/capability", b"ping", mode=0o755, pax_headers={"SCHILY.xattr.security.capability": capability})
    add("odd/attribute", b"x", pax_headers={"SCHILY.xattr.user.text": "v" * 3000})
    add("odd/empty")
    # One byte of data at its end: GNU tar's sparse format 1.0.
    header = b"1\n%d\n1\n" % (size - 1)
    headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "odd/sparse", "GNU.sparse.realsize": str(size)}
    add("odd/GNUSparseFile.0/sparse", header.ljust(512, b"\0") + b"!", pax_headers=headers)

with open(os.path.join(output, "index.json")) as file:
    index = json.load(file)
with open(blob(index["manifests"][0]["digest"])) as file:
    manifest = json.load(file)
with open(blob(manifest["config"]["digest"])) as file:
    config = json.load(file)
config["rootfs"]["diff_ids"].append("sha256:" + hashlib.sha256(layer.getvalue()).hexdigest())
if "history" in config:
    config["history"].append({"created_by": "odd"})
manifest["layers"].append({"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", **put(gzip.compress(layer.getvalue()))})
manifest["config"].update(put(json.dumps(config).encode()))
index["manifests"][0].update(put(json.dumps(manifest).encode()))
index["manifests"][0]["annotations"] = {"org.opencontainers.image.ref.name": "localhost/odd:latest"}
with open(os.path.join(output, "index.json"), "w") as file:
    json.dump(index, file)
