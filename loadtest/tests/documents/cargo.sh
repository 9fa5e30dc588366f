#!/usr/bin/env bash
# cargo, as documents call it: a program of this project runs where the reader stands, from what is built; anything else
# happens in the repository.
set -euo pipefail
export CARGO_TARGET_DIR=$DOCUMENTS_TARGET

# The programs that .cargo/config.toml names.
features=()
case ${1-} in
    hash-svc | range-svc | seeder | loadtest)
        features=(--no-default-features)
        set -- run --release --package "$1" -- "${@:2}"
        ;;
esac
if [[ ${1-} != run ]]; then
    if [[ $DOCUMENTS_COST == quick ]]; then
        echo "cargo ${1-} takes long: mark the block slow" >&2
        exit 1
    fi
    cd "$DOCUMENTS_ROOT" && exec "$DOCUMENTS_CARGO" "$@"
fi
shift

program='' example='' manifest='' profile=debug
while (($#)); do
    case $1 in
        --release) profile=release ;;
        --package | -p | --bin) program=$2 && shift ;;
        --example) example=$2 && shift ;;
        --no-default-features) features=(--no-default-features) ;;
        --manifest-path) manifest=$2 && shift ;;
        --) shift && break ;;
        *) echo "cargo run $1 is not known to the tests of the documents" >&2 && exit 1 ;;
    esac
    shift
done

built=$DOCUMENTS_PROGRAMS
if [[ -n $manifest ]]; then
    (cd "$DOCUMENTS_ROOT" && "$DOCUMENTS_CARGO" build --quiet --locked --manifest-path "$manifest")
    built=$DOCUMENTS_TARGET/$profile
fi
if [[ -n $example ]]; then
    release=() && [[ $profile == debug ]] || release=(--release)
    (cd "$DOCUMENTS_ROOT" && "$DOCUMENTS_CARGO" build --quiet "${release[@]}" "${features[@]}" --package "$program" --example "$example")
    exec "$DOCUMENTS_TARGET/$profile/examples/$example" "$@"
fi
if [[ -z $manifest && $DOCUMENTS_COST != quick ]]; then
    # What is there may have been built by another command, with servers or without.
    (cd "$DOCUMENTS_ROOT" && "$DOCUMENTS_CARGO" build --quiet --release "${features[@]}" --package "$program")
fi
# Others may be using the ports that documents name.
case $program in
    hash-svc) port=$DOCUMENTS_PORT_1 ;;
    range-svc) port=$DOCUMENTS_PORT_2 ;;
    jump-svc) port=$DOCUMENTS_PORT_3 ;;
    *) port= ;;
esac
[[ -z $port ]] || export COUPON__LISTEN="127.0.0.1:$port"
case $program:${1-} in
    loadtest:run | loadtest:compare | loadtest:replay)
        # 4: on a machine that does other things meanwhile, the load may be the limit. The command works all the same.
        "$built/$program" "$@" || { code=$? && [[ $code == 4 ]] || exit "$code"; }
        ;;
    *) exec "$built/$program" "$@" ;;
esac
