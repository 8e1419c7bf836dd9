# Sourced by scripts that install something: `lock NAME` lets only one continue at a time; it needs
# $python. The system releases the lock when the script ends, however it ends. If the lock cannot be
# taken, the script ends with a message.
lock() {
  local file=.sidepath/$1.lock
  rmdir "$file" 2>/dev/null || true # the lock of an earlier version was a folder
  mkdir -p .sidepath 2>/dev/null || true
  # Read access is enough if another user has created it.
  if ! { exec 9<>"$file"; } 2>/dev/null && ! { exec 9<"$file"; } 2>/dev/null; then
    echo "scripts/$1: $file cannot be opened, so nothing was installed. Check its owner: ls -ld .sidepath $file" >&2
    exit 1
  fi
  "$python" -c '
import fcntl, sys

name, file = sys.argv[1:]
try:
    try:
        fcntl.flock(9, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print(f"scripts/{name}: waiting for another run to finish", file=sys.stderr, flush=True)
        fcntl.flock(9, fcntl.LOCK_EX)
except OSError as error:
    sys.exit(f"scripts/{name}: {file} cannot be locked, so nothing was installed: {error.strerror}.")
except KeyboardInterrupt:
    sys.exit(130)
' "$1" "$file"
}
