# The figures of a bench.json that loadtest/src/size/costs.rs reads:
#     jq -f loadtest/src/size/recorded.jq bench.json >loadtest/src/size/recorded.json
{
  format, date, machine,
  sections: [{
    rows: [
      .sections[].rows[]
      | select(.id | IN(
          "batching-at-once", "grab-servers-64", "grab-servers-256", "grab-servers-1024",
          "sold-out", "consumer-rate", "query-user-single-p50", "query-room-scatter-p50", "grab-p99"
        ))
      | {
          id, problems,
          figures: [
            .figures[]
            | select(.what | test("^(echo|batched)|generator|rate|p99|connections: p50") | not)
            | select(.what | test(
                ": |servers, consumer$|^(API|consumer|bare connections at once|slowest shard, each asked alone)$"
              ))
            | { what, unit, spread: (.spread | .value |= { median }) }
          ]
        }
    ]
  }]
}
