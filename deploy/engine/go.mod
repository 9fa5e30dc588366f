// The programs of Vitess that `coupon-stack up --engine vitess` runs: see build.
module engine-tools

go 1.26.8

tool (
	vitess.io/vitess/go/cmd/vtctld
	vitess.io/vitess/go/cmd/vtctldclient
	vitess.io/vitess/go/cmd/vtgate
	vitess.io/vitess/go/cmd/vttablet
)

require vitess.io/vitess v0.24.4

// As in the go.mod of Vitess, where it has no effect on others.
exclude github.com/DataDog/opentelemetry-mapping-go/pkg/otlp/attributes v0.33.0
