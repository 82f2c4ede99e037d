# What the lab tells: progress and complaints, always on stderr, so that stdout stays the command's own.

say_start_s=$SECONDS

say() { printf 'lab: %s\n' "$*" >&2; }

# A step of something long, with the seconds since the start.
step() { printf 'lab: [%3d s] %s\n' "$((SECONDS - say_start_s))" "$*" >&2; }

# The lab itself failed (and not a command in it): status 254 and one line.
lab_failed=254
die() {
	printf 'lab: error: %s\n' "$*" >&2
	exit "$lab_failed"
}
