//! What grabs were told, as a file that `loadtest audit` reads.

use std::io::{self, Write};

use crate::audit::CLAIMS_HEADER;
use crate::load::{GrabOutcome, GrabRecord, Refusal};

pub(super) fn write(out: &mut impl Write, grabs: &[GrabRecord]) -> io::Result<()> {
    writeln!(out, "{CLAIMS_HEADER}")?;
    for GrabRecord { user_id, coupon_id, outcome, .. } in grabs {
        let (told, id) = match outcome {
            GrabOutcome::Granted { result_id } => ("granted", Some(result_id)),
            // Some refusals can be held against the data as well, so that they keep their names.
            GrabOutcome::Refused(Refusal::Decided(reason)) => (reason.as_str(), None),
            GrabOutcome::Refused(_) => ("refused", None),
            GrabOutcome::Unknown(_) => ("unknown", None),
        };
        let id = id.map_or_else(String::new, ToString::to_string);
        writeln!(out, "{user_id},{coupon_id},{told},{id}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use coupon_core::FailReason;

    use super::*;
    use crate::audit::Claims;
    use crate::load::Unknown;

    #[test]
    fn every_outcome_has_its_word_and_only_a_grant_has_an_id() {
        let grab =
            |user_id, outcome| GrabRecord { user_id, coupon_id: 2, outcome, at: std::time::Duration::ZERO };
        let grabs = [
            grab(1, GrabOutcome::Granted { result_id: 99 }),
            grab(3, GrabOutcome::Refused(Refusal::Status(404))),
            grab(4, GrabOutcome::Refused(Refusal::Decided(FailReason::Duplicate))),
            grab(5, GrabOutcome::Refused(Refusal::Decided(FailReason::OutOfStock))),
            grab(6, GrabOutcome::Unknown(Unknown::TimedOut)),
        ];
        let mut out = Vec::new();
        write(&mut out, &grabs).unwrap();
        let wanted = "user_id,coupon_id,outcome,result_id\n1,2,granted,99\n3,2,refused,\n4,2,duplicate,\n\
            5,2,out_of_stock,\n6,2,unknown,\n";
        assert_eq!(String::from_utf8(out.clone()).unwrap(), wanted);

        // The audit reads what was written, and means the same by it.
        let (mut read, mut told) = (Claims::default(), Claims::default());
        read.read_csv(out.as_slice()).unwrap();
        grabs.iter().for_each(|grab| told.add_grab(grab));
        assert_eq!(read, told);
    }
}
