# Sourced by scripts that install something: `lock NAME` lets one at a time go on.
lock() {
  lock_file=.sidepath/$1.lock
  mkdir -p .sidepath
  until ln -s "$$" "$lock_file" 2>/dev/null; do
    holder=$(readlink "$lock_file" || true)
    if [ -n "$holder" ] && ! kill -0 "$holder" 2>/dev/null; then
      rm -f "$lock_file" # it was killed
    else
      sleep 0.2
    fi
  done
  trap 'rm -f "$lock_file"' EXIT
}
