//! Tables that scroll by themselves where they are too wide.

use maud::{Markup, Render, html};

/// A table in a part of the page that scrolls, which has a name and is reached by the keyboard.
pub(super) fn scrolling(label: &str, table: &Markup) -> Markup {
    html! { div.scroll tabindex="0" role="region" aria-label=(label) { (table) } }
}

/// The heads of columns.
pub(super) fn heads<T: Render>(columns: impl IntoIterator<Item = T>) -> Markup {
    html! { @for column in columns { th scope="col" { (column) } } }
}

/// A row of texts, the first of which names it.
pub(super) fn named_row<T: Render>(cells: impl IntoIterator<Item = T>) -> Markup {
    html! {
        tr { @for (at, cell) in cells.into_iter().enumerate() {
            @if at == 0 { th scope="row" { (cell) } } @else { td { (cell) } }
        } }
    }
}
