# Bash completion for dynalock.

_dynalock_options()
{
    local common='--table --region --endpoint --ca --key-name --sort-key-name
        --ttl --json --quiet --help'
    local take='--lease --wait --nonblock --conflict-exit-code --owner --poll
        --sort-key'

    case $1 in
    run) echo "$common $take --command --grace --on-lost --lost-exit-code --foreground" ;;
    acquire) echo "$common $take" ;;
    renew) echo "$common --lease --lost-exit-code" ;;
    release) echo "$common --lost-exit-code" ;;
    status) echo "$common --sort-key" ;;
    watch) echo "$common --sort-key --poll" ;;
    break) echo "$common --sort-key --if" ;;
    init) echo "$common --policy" ;;
    list | doctor) echo "$common" ;;
    esac
}

# Behind -- stands another command, which has a completion of its own.
_dynalock_offset()
{
    local i

    for ((i = 2; i < COMP_CWORD; i++)); do
        [[ ${COMP_WORDS[i]} == -- ]] || continue
        echo $((i + 1))
        return
    done
}

_dynalock()
{
    local word=${COMP_WORDS[COMP_CWORD]} command=${COMP_WORDS[1]}
    local offset words

    COMPREPLY=()
    offset=$(_dynalock_offset)
    if [[ -n $offset ]]; then
        if declare -F _command_offset >/dev/null; then
            _command_offset "$offset"
        else
            mapfile -t COMPREPLY < <(compgen -c -- "$word")
        fi
        return
    fi
    if ((COMP_CWORD == 1)); then
        words='run acquire renew release status list watch break init doctor
            --help --version'
    elif [[ $word == -* ]]; then
        words=$(_dynalock_options "$command")
    elif [[ ${COMP_WORDS[COMP_CWORD - 1]} == --on-lost ]]; then
        words='kill warn signal:TERM signal:INT signal:USR1'
    else
        mapfile -t COMPREPLY < <(compgen -f -- "$word")
        return
    fi
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}

complete -F _dynalock dynalock
