//! The report, from rounds to the page, over a comparison that was made up and one that was measured.

#[cfg(test)]
mod conclusions;
mod differ;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod recorded;
#[cfg(test)]
mod shown;
