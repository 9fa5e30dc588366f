//! Prints made-up receipts of the size and skew of real ones, to try `loadtest replay` and `loadtest advise` on:
//!
//! ```sh
//! cargo run -p loadtest --example receipts > receipts.csv
//! cargo run --release -p loadtest -- replay receipts.csv \
//!     --map user=User_id,room=Merchant_id,coupon=Coupon_id,time=Date_received
//! ```

use std::io::Write;

#[path = "../tests/receipts/mod.rs"]
mod receipts;

fn main() -> std::io::Result<()> {
    std::io::stdout().lock().write_all(receipts::csv(receipts::Size::REAL).as_bytes())
}
