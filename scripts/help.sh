# Sourced by the commands, to answer --help and -h before anything is installed.

# Prints the comment at the top of the script.
print_help() {
  local line
  while IFS= read -r line; do
    case $line in
      '#!'*) ;;
      '#'*) line=${line#'#'} && printf '%s\n' "${line# }" ;;
      *) return ;;
    esac
  done <"scripts/${0##*/}"
}

# For a command that passes its arguments on: answers only if --help is the first of them.
help_first() {
  case ${1-} in
    -h | --help) print_help && exit ;;
  esac
}

# For a command with a Python program, which lists its own options if it is installed.
help_of_program() {
  local word
  for word in "$@"; do
    case $word in
      -h | --help)
        .venv/bin/python -m "scripts.commands.${0##*/}" --help 2>/dev/null || print_help
        exit 0 ;;
    esac
  done
}
