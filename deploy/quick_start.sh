#!/usr/bin/env bash
# From nothing to running services; `usage` says how. Safe to run again.
set -euo pipefail
cd "$(dirname "$0")"

servers=(mysql-main mysql-shard-0 mysql-shard-1 mysql-shard-2 mysql-shard-3 redis rabbitmq)
# Pages to look at the servers with: nothing needs them.
viewers=(phpmyadmin redisinsight prometheus grafana)

usage() {
    cat <<END
quick_start.sh [--yes | --no-seed]

Makes deploy/.env if there is none, builds, starts the servers, offers to seed them if they are empty, and starts the
services. What is there already is kept.

  --yes      seed without asking
  --no-seed  do not seed, nor ask; so does a script that says nothing
END
}

fail() {
    echo "quick_start: $*" >&2
    exit 1
}

read_flags() {
    seed=ask
    for flag in "$@"; do
        case $flag in
            --yes) seed=yes ;;
            --no-seed) seed=no ;;
            -h | --help)
                usage
                exit
                ;;
            *) fail "unknown flag $flag; there are --yes and --no-seed" ;;
        esac
    done
}

check_docker() {
    command -v docker >/dev/null || fail "docker is missing: https://docs.docker.com/engine/install/"
    local version
    version=$(docker compose version --short 2>/dev/null) ||
        fail "Compose v2 (docker compose) is missing: https://docs.docker.com/compose/install/"
    [[ ${version#v} != 1.* ]] || fail "Compose $version is too old: version 2 is needed"
    docker info >/dev/null 2>&1 || fail "the Docker engine does not answer: is it running, and may you use it?"
}

random() {
    od -An -N24 -tx1 /dev/urandom | tr -d ' \n'
}

# The example with every empty value filled in.
make_env() {
    [[ ! -e .env ]] || return 0
    local line
    (
        umask 077
        while IFS= read -r line; do
            case $line in
                [A-Z]*=) echo "$line$(random)" ;;
                *) echo "$line" ;;
            esac
        done <.env.example >.env.new
    )
    mv .env.new .env
    echo "made deploy/.env with random secrets"
}

# Ports that something else listens on; those of our own containers do not count.
check_ports() {
    local port busy=() own
    docker compose config --quiet || fail "the settings are not complete; see deploy/.env.example"
    own=$(docker ps --filter label=com.docker.compose.project=coupon --format '{{.Ports}}')
    for port in $(docker compose config | sed -n 's/^ *published: "\(.*\)"/\1/p'); do
        [[ $own != *"127.0.0.1:$port->"* ]] || continue
        if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then busy+=("$port"); fi
    done
    [[ ${#busy[@]} -eq 0 ]] ||
        fail "something else listens on port ${busy[*]}: stop it, or set other ports in deploy/.env (.env.example lists them)"
}

up() {
    docker compose up --detach --wait "$@" || fail "not everything came up; see: docker compose -f deploy/compose.yml logs"
}

# Where databases have replicas: before anything is asked of main, a server of a pair that is new becomes a copy of the other.
make_pairs() {
    ! docker compose config --services | grep -qx mysql-pairs || docker compose run --rm -T mysql-pairs
}

# Whatever is no viewer.
up_services() {
    local services
    mapfile -t services < <(docker compose config --services | grep -vxFf <(printf '%s\n' "${viewers[@]}"))
    [[ ${#services[@]} -gt 0 ]] || fail "docker compose config names no services"
    up "${services[@]}"
}

# Each by itself: one that does not come up hides no other.
up_viewers() {
    local viewer
    for viewer in "${viewers[@]}"; do
        docker compose up --detach --wait "$viewer" ||
            echo "quick_start: warning: $viewer is not healthy; the services do without it; see: docker compose -f deploy/compose.yml logs $viewer" >&2
    done
}

# Whether the main database holds anything of ours.
is_empty() {
    local count
    # shellcheck disable=SC2016 # the container's shell expands it
    count=$(docker compose exec -T mysql-main sh -c 'MYSQL_PWD=$MYSQL_PASSWORD mysql -h 127.0.0.1 -u coupon -N -e "
        SELECT COUNT(*) FROM information_schema.schemata WHERE schema_name LIKE \"coupon\\_%\""') ||
        fail "cannot ask mysql-main what it holds"
    [[ $count -eq 0 ]]
}

# Before the services start for the first time, since they would put the sample catalogue where there is none.
offer_seeding() {
    if ! is_empty; then
        echo "the databases hold data already, which stays; make seed replaces it"
        return
    fi
    if [[ $seed == ask ]]; then
        seed=no
        if [[ -t 0 && -t 1 ]]; then
            read -r -p "Seed users, rooms, coupons and past results? Without, there is a small sample. [Y/n] " answer
            [[ $answer == [nN]* ]] || seed=yes
        fi
    fi
    [[ $seed == no ]] || docker compose run --rm seeder
}

say_what_next() {
    local address service port at
    printf '\nrunning:\n'
    for address in hash-svc:8001/docs range-svc:8002/docs range-room-svc:8003/docs rabbitmq:15672/ phpmyadmin:80/ \
        redisinsight:5540/ prometheus:9090/ grafana:3000/; do
        service=${address%%:*} port=${address#*:}
        at=$(docker compose port "$service" "${port%%/*}" 2>/dev/null) || continue
        printf '  %-16s http://%s/%s\n' "$service" "$at" "${port#*/}"
    done
    cat <<END

next:
  curl -s http://$(docker compose port hash-svc 8001)/api/coupon/grab -H 'content-type: application/json' -d '{"user_id":1,"coupon_id":1,"request_id":"first"}'
  make compare    # the services under the same load, and a report: reports/compose/report.html
  make seed       # new data; what is there is replaced
  make down       # stop; the data stays
Passwords and the admin token are in deploy/.env.
END
}

read_flags "$@"
check_docker
make_env
check_ports
docker compose build
up "${servers[@]}"
make_pairs
offer_seeding
up_services
up_viewers
say_what_next
