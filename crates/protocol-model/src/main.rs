//! `protocol-model`: exhausts the model, and says what it has visited.

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::Parser;
use protocol_model::{Mechanism, SearchScope, Searched, search_all};

/// Tries every order of the protocol's steps, crashes and losses within small scopes.
///
/// Exits with 0 when every promise held, and with 1 when one is broken; with --without the other way round.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// Leaves a mechanism out, and shows the shortest history that breaks a promise then; `all` does so for each in
    /// turn
    #[arg(long, value_name = "MECHANISM")]
    without: Option<Without>,
    /// Larger scopes too, which takes minutes
    #[arg(long)]
    deep: bool,
}

#[derive(Debug, Clone, Copy)]
enum Without {
    One(Mechanism),
    All,
}

impl std::str::FromStr for Without {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "all" { Ok(Self::All) } else { text.parse().map(Self::One) }
    }
}

fn main() -> anyhow::Result<ExitCode> {
    let args = Args::parse();
    let mut scopes = SearchScope::QUICK.to_vec();
    if args.deep {
        scopes.extend(SearchScope::DEEP);
    }
    let fine = match args.without {
        None => !breaks(&scopes, None)?,
        Some(Without::One(mechanism)) => breaks(&scopes, Some(mechanism))?,
        Some(Without::All) => {
            let mut found = true;
            for mechanism in Mechanism::ALL {
                found &= breaks(&scopes, Some(mechanism))?;
            }
            found
        }
    };
    Ok(if fine { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Searches, prints what comes of it, and says whether a promise broke.
fn breaks(scopes: &[SearchScope], without: Option<Mechanism>) -> anyhow::Result<bool> {
    let mut out = io::stdout().lock();
    if let Some(mechanism) = without {
        writeln!(out, "\nwithout {mechanism}")?;
    }
    let mut broken = false;
    for searched in search_all(scopes, without) {
        show(&mut out, &searched)?;
        broken |= searched.broken.is_some();
    }
    if !broken {
        writeln!(out, "every promise held: two users, two requests each at most, a stock of one, one shard")?;
    }
    Ok(broken)
}

fn show(out: &mut impl io::Write, searched: &Searched) -> io::Result<()> {
    let Searched { scope, states, depth, took, broken } = searched;
    let seconds = took.as_secs_f64();
    writeln!(out, "{scope}: {states} states, {depth} steps at most, {seconds:.1} s")?;
    if let Some(broken) = broken {
        writeln!(out, "BROKEN: {}", broken.promise)?;
        for (number, step) in (1..).zip(&broken.history) {
            writeln!(out, "{number:>4}  {step}")?;
        }
    }
    out.flush()
}
