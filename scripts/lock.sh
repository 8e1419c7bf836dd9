# Sourced by scripts that install something: `lock NAME` lets one at a time go on, and needs $python.
# The system itself gives the lock back, however its holder ends. Where there can be no lock, the script
# ends with a sentence.
lock() {
  local file=.sidepath/$1.lock
  rmdir "$file" 2>/dev/null || true # the lock of an earlier version was a folder
  mkdir -p .sidepath 2>/dev/null || true
  # To read it will do, where another user has made it.
  if ! { exec 9<>"$file"; } 2>/dev/null && ! { exec 9<"$file"; } 2>/dev/null; then
    echo "scripts/$1: $file cannot be opened, so nothing is installed. Look who owns it: ls -ld .sidepath $file" >&2
    exit 1
  fi
  "$python" -c '
import fcntl, sys

name, file = sys.argv[1:]
try:
    try:
        fcntl.flock(9, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print(f"scripts/{name}: waiting for another one to finish", file=sys.stderr, flush=True)
        fcntl.flock(9, fcntl.LOCK_EX)
except OSError as error:
    sys.exit(f"scripts/{name}: {file} cannot be locked, so nothing is installed: {error.strerror}.")
except KeyboardInterrupt:
    sys.exit(130)
' "$1" "$file"
}
