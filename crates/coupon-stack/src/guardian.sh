# The guardian of an owner: see guardian.rs.
# On its stdin: "folder PATH" (to be removed at the end; its own arguments from then on), "pid PID:START", "group PATH", "release".
trap '' HUP INT QUIT TERM
processes= groups=
while read -r what rest; do
    case $what in
        folder) set -- "$@" "$rest" ;;
        pid) processes="$processes $rest" ;;
        group) groups="$groups $rest" ;;
        release) exit 0 ;;
    esac
done

# Whether PID:START runs. A later process of the same number has another start, which is field 22 of its stat; what
# follows the last bracket begins with field 3, the state.
runs() {
    pid=${1%:*} start=${1#*:}
    { read -r stat <"/proc/$pid/stat"; } 2>/dev/null || return 1
    set -- ${stat##*) }
    [ "$1" != Z ] && [ "${20}" = "$start" ]
}

# signal SIGNAL [-]: to the processes, or to the groups that they lead.
signal() {
    for process in $processes; do
        runs "$process" && kill -s "$1" -- "${2-}${process%:*}" 2>/dev/null
    done
}

any() {
    for process in $processes; do
        runs "$process" && return 0
    done
    return 1
}

# Waits until none runs, for so many tenths of a second at most.
wait_for_end() {
    left=$1
    while any && [ "$left" -gt 0 ]; do
        sleep 0.1
        left=$((left - 1))
    done
}

if [ $# -eq 0 ]; then
    signal TERM
    signal CONT
    wait_for_end 150
fi
signal KILL -
signal KILL
wait_for_end 100
for group in $groups; do
    rmdir "$group" 2>/dev/null
done
for folder; do
    rm -rf -- "$folder"
done
