//! The report, from rounds to the page, over a comparison that was made up.

#[cfg(test)]
mod conclusions;
mod differ;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod shown;
