//! The report, from rounds to the page, over a comparison that was measured.

#[cfg(test)]
mod conclusions;
#[cfg(test)]
mod differ;
#[cfg(test)]
mod doubts;
#[cfg(test)]
mod growth;
#[cfg(test)]
mod history;
#[cfg(test)]
mod recorded;
#[cfg(test)]
mod resampled;
#[cfg(test)]
mod rounds;
#[cfg(test)]
mod shapes;
#[cfg(test)]
mod shown;
#[cfg(test)]
mod verdicts;
