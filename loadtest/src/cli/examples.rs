//! Example commands, shown below the help. A test tries that every flag in them is there.

pub(super) const ALL: &str = "\
Examples:
  loadtest compare --history 100000 --rate 1500
      which strategy for which need, in two minutes
  loadtest simulate --shards 4,64,1024
      how evenly each would spread, without any service
  loadtest size --grabs 1M
      what would a sale of a million grabs a second take?
  loadtest explain --user 123 --room 92
      where that grab goes, and why
  loadtest run --acks acks.csv
      load on a service that runs, and what each grab was told
  loadtest audit --target http://127.0.0.1:8001 --acks acks.csv
      is all of that stored, once, and nothing else?
  loadtest advise trace.csv --map user=uid,room=shop,coupon=coupon,time=at
      what does a trace of your own call for?
  loadtest advise --queries general.log --key user_id --key room_id,user_id
      which of your own queries would a key turn into scatters?
  loadtest diff before/report.json after/report.json
      what became worse?
  loadtest history reports --html history.html
      since which run is it worse?

An error is one line and exit code 1, and so is an audit that could not be
made; an audit that finds a violation ends with 2, a figure beyond its limit
with 3.";

pub(super) const RUN: &str = "\
Examples:
  loadtest run --rate 2000 --duration 30s
      how long do users wait at 2,000 requests a second?
  loadtest run --closed 64 --requests grabs
      how many grabs a second, at most?
  loadtest run --workload mine.toml --json run.json
      requests of your own, figures for a program of yours

Latency counts from the moment a request was due, so a stall is not hidden. The
target must have the users, rooms and coupons that the workload asks for: the
seeder's defaults are the built-in workload's.

Exits with 0 when every --require was kept, 3 when one was not, 4 when only the
load generator or its connections were the limit (or the service was too slow
for so many connections), so that rates and times say nothing of the service,
130 when it was interrupted (what was measured until then is kept), 1 on other
failures.";

pub(super) const COMPARE: &str = "\
Examples:
  loadtest compare --history 100000 --rate 1500
      on files, each contestant on data of its own
  loadtest compare --contestants hash,range-room,range-room+split --rounds 9
      three of them, with narrower intervals
  loadtest compare --require 'hash.grab.p99<20ms' --require 'all.errors<0.1%'
      a run that fails when that is not so
  loadtest compare --shard-rtt 1ms
      as if every shard were a network away
  loadtest compare --backend servers --shard-cpu 0.1
      on MySQL, Redis and RabbitMQ, with shards that a hot one saturates
  loadtest compare --history 100000 --grow 4:8@10s
      over more shards while the load goes on: what grabs and reads pay, how
      many rows move, how long until all have
  loadtest compare --contestants hash --target mine=http://127.0.0.1:8003
      a service that runs already beside one that is started

It ends with the report's summary; the report itself is DIR/report.html.

Exits with 0 when every promise and every --require was kept, 2 when a promise
was broken, 3 when a --require was not kept, 4 when only the load generator or
its connections were the limit (or the service was too slow for so many
connections), so that there are no verdicts on rates and times, 1 on other
failures.";

pub(super) const AUDIT: &str = "\
Examples:
  loadtest audit --data data/hash
      is what lies in that folder consistent?
  loadtest audit --target http://127.0.0.1:8001 --acks acks.csv
      ... and is everything there that clients were promised?
  loadtest audit --backend servers --strategy hash --config servers.toml
      the same on databases

It ends with 0, or with 2 when a promise is broken; what could not be checked is
n/a, with the reason.";

pub(super) const SIMULATE: &str = "\
Examples:
  loadtest simulate --shards 16,64,1024
      skew, places visited, and rows moved by one shard more
  loadtest simulate --shards 4 --users 1000 --zipf 1.1
      users of whom a few grab most
  loadtest simulate --rooms 5000 --hot-rooms 1 --hot-share 0.9
      one room that everybody watches
  loadtest simulate --shards 8 --machines 3
      machines that hold several shards, and the loss of one";

pub(super) const SIZE: &str = "\
Examples:
  loadtest size --grabs 10k,100k,1M
      what is full first as a sale grows, and what it takes then
  loadtest size --granted 0.1 --reads 200k --scatter 0.01
      most are refused, and some reads ask every shard
  loadtest size --costs bench.json --cores 16 --core-hour 0.05
      with what `loadtest bench` measured on a machine of yours, and a price

A gate is one core, and a coupon is at one gate: --hot-coupon is the ceiling
that no number of gates lifts. CPU is what processes are charged with; --load
leaves room for what the kernel does for them, and for busy moments.";

pub(super) const EXPLAIN: &str = "\
Examples:
  loadtest explain --user 123 --coupon 456
      the same grab by three strategies
  loadtest explain --strategy range-time --time 2026-11-22T23:59:59.999Z
      just before midnight
  loadtest explain --strategy range-room --set range.boundaries=[1,2,3,4,38]
      with a range for each hot room
  loadtest explain --target http://127.0.0.1:8001 --result 912345678901234567
      a result of a running service: which version of its layout placed it, and where it is now";
