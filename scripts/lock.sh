# Sourced by scripts that install something: `lock NAME` lets one at a time go on, and needs $python.
# The system itself gives the lock back, however its holder ends.
lock() {
  mkdir -p .sidepath
  exec 9>".sidepath/$1.lock"
  local take="import fcntl; fcntl.flock(9, fcntl.LOCK_EX"
  "$python" -c "$take | fcntl.LOCK_NB)" 2>/dev/null && return
  echo "scripts/$1: waiting for another one to finish" >&2
  "$python" -c "$take)"
}
