//! The conditions of a statement: those that all must hold, and what each of them says of columns.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use sqlparser::ast::{BinaryOperator, Expr, InTarget, visit_expressions};

use super::column::{StatementColumn, Unjudged, of_parts};

/// The values that a condition leaves a column, the fewest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Bound {
    /// One value.
    Equal,
    /// Values of a list.
    List,
    /// Values that follow each other.
    Range,
}

/// All conditions of a statement.
#[derive(Debug, Default)]
pub(super) struct Conditions {
    bounds: BTreeMap<StatementColumn, Bound>,
    /// The second column has no values but the first one's.
    follows: Vec<(StatementColumn, StatementColumn)>,
    doubts: Vec<(StatementColumn, Unjudged)>,
}

impl Conditions {
    /// Adds a condition. That of an outer join limits the joined table alone.
    pub(super) fn add(&mut self, expression: &Expr, outer: Option<&str>) {
        match expression {
            Expr::Nested(inner) => self.add(inner, outer),
            Expr::BinaryOp { left, op: BinaryOperator::And, right } => {
                self.add(left, outer);
                self.add(right, outer);
            }
            _ => self.leaf(expression, outer),
        }
    }

    /// Says that two columns have the same value; of an outer join, that the second one follows the first.
    pub(super) fn same(&mut self, first: StatementColumn, second: StatementColumn, outer: bool) {
        if !outer {
            self.follows.push((second.clone(), first.clone()));
        }
        self.follows.push((first, second));
    }

    /// Says that rows give a column their values: one, or several.
    pub(super) fn given(&mut self, column: StatementColumn, one: bool) {
        self.bounds.insert(column, if one { Bound::Equal } else { Bound::List });
    }

    /// The columns that are bound.
    pub(super) fn columns(&self) -> impl Iterator<Item = &StatementColumn> {
        self.bounds.keys()
    }

    /// The bound of a column, by its own conditions and those of columns with the same value.
    pub(super) fn bound(&self, column: impl Fn(&StatementColumn) -> bool) -> Option<Bound> {
        self.reaching(column).into_iter().filter_map(|column| self.bounds.get(column)).min().copied()
    }

    /// The doubt about a column.
    pub(super) fn doubt(&self, column: impl Fn(&StatementColumn) -> bool) -> Option<Unjudged> {
        self.doubts.iter().find(|(doubtful, _)| column(doubtful)).map(|(_, doubt)| *doubt)
    }

    /// True if two columns have the same value: one has the other's, or both have that of a third.
    pub(super) fn agree(
        &self,
        one: impl Fn(&StatementColumn) -> bool,
        other: impl Fn(&StatementColumn) -> bool,
    ) -> bool {
        let (of_one, of_other) = (self.reaching(&one), self.reaching(&other));
        of_one.iter().any(|column| other(column) || of_other.contains(column))
            || of_other.into_iter().any(one)
    }

    /// The columns whose values limit this one's, itself included.
    fn reaching(&self, column: impl Fn(&StatementColumn) -> bool) -> Vec<&StatementColumn> {
        let ends = self.follows.iter().map(|(_, end)| end);
        let mut found: Vec<&StatementColumn> =
            self.bounds.keys().chain(ends).filter(|named| column(named)).collect();
        let mut at = 0;
        while let Some(end) = found.get(at).copied() {
            for (begin, _) in self.follows.iter().filter(|(_, to)| to == end) {
                if !found.contains(&begin) {
                    found.push(begin);
                }
            }
            at += 1;
        }
        found
    }

    fn leaf(&mut self, expression: &Expr, outer: Option<&str>) {
        match expression {
            Expr::BinaryOp { left, op, right } if is_equality(op) => {
                self.equal(expression, left, right, outer);
            }
            Expr::BinaryOp { left, op, right } if is_comparison(op) => {
                let of_column = column(left).filter(|_| is_constant(right));
                let bound = of_column.or_else(|| column(right).filter(|_| is_constant(left)));
                self.bind_or_doubt(bound, Bound::Range, expression, outer);
            }
            // It leaves nearly every value.
            Expr::BinaryOp { left, op: BinaryOperator::NotEq, .. } | Expr::IsNotNull(left)
                if column(left).is_some() => {}
            Expr::In { expr, negated: true, target: InTarget::List(_), .. }
            | Expr::Between { expr, negated: true, .. }
                if column(expr).is_some() => {}
            Expr::In { expr, target: InTarget::List(list), negated: false, .. }
                if list.iter().all(is_constant) =>
            {
                let bound = if list.len() < 2 { Bound::Equal } else { Bound::List };
                match columns(expr) {
                    Some(columns) => columns.into_iter().for_each(|column| self.bind(column, bound, outer)),
                    None => self.doubtful(expression),
                }
            }
            Expr::Between { expr, low, high, negated: false } => {
                let bound = column(expr).filter(|_| is_constant(low) && is_constant(high));
                self.bind_or_doubt(bound, Bound::Range, expression, outer);
            }
            Expr::IsNull(inner) => self.bind_or_doubt(column(inner), Bound::Equal, expression, outer),
            _ => self.doubtful(expression),
        }
    }

    fn equal(&mut self, expression: &Expr, left: &Expr, right: &Expr, outer: Option<&str>) {
        if let (Expr::Tuple(left), Expr::Tuple(right)) = (left, right)
            && left.len() == right.len()
        {
            return left
                .iter()
                .zip(right)
                .for_each(|(left, right)| self.equal(expression, left, right, outer));
        }
        match (column(left), column(right)) {
            (Some(left), Some(right)) => self.equal_columns(left, right, expression, outer),
            (Some(column), None) if is_constant(right) => self.bind(column, Bound::Equal, outer),
            (None, Some(column)) if is_constant(left) => self.bind(column, Bound::Equal, outer),
            _ => self.doubtful(expression),
        }
    }

    fn equal_columns(
        &mut self,
        left: StatementColumn,
        right: StatementColumn,
        expression: &Expr,
        outer: Option<&str>,
    ) {
        let is_joined = |column: &StatementColumn| outer.is_some() && column.table.as_deref() == outer;
        match outer {
            None => self.same(left, right, false),
            Some(_) if is_joined(&right) && left.table.is_some() => self.same(left, right, true),
            Some(_) if is_joined(&left) && right.table.is_some() => self.same(right, left, true),
            Some(_) => self.doubtful(expression),
        }
    }

    fn bind_or_doubt(
        &mut self,
        column: Option<StatementColumn>,
        bound: Bound,
        expression: &Expr,
        outer: Option<&str>,
    ) {
        match column {
            Some(column) => self.bind(column, bound, outer),
            None => self.doubtful(expression),
        }
    }

    fn bind(&mut self, column: StatementColumn, bound: Bound, outer: Option<&str>) {
        match (&column.table, outer) {
            // It does not limit the rows of the other tables.
            (Some(table), Some(joined)) if table != joined => {}
            (None, Some(_)) => self.doubts.push((column, Unjudged::UnknownTable)),
            _ => {
                let known = self.bounds.entry(column).or_insert(bound);
                *known = bound.min(*known);
            }
        }
    }

    /// Nothing is known of the columns within.
    fn doubtful(&mut self, expression: &Expr) {
        let doubt = match expression {
            Expr::BinaryOp { op: BinaryOperator::Or | BinaryOperator::Xor, .. } | Expr::UnaryOp { .. } => {
                Unjudged::Or
            }
            Expr::Like { .. } | Expr::RLike { .. } | Expr::ILike { .. } | Expr::SimilarTo { .. } => {
                Unjudged::Pattern
            }
            _ => Unjudged::Function,
        };
        let _: ControlFlow<()> = visit_expressions(expression, |part| {
            self.doubts.extend(column(part).map(|column| (column, doubt)));
            ControlFlow::Continue(())
        });
    }
}

/// The column that an expression is, if it is one.
pub(super) fn column(expression: &Expr) -> Option<StatementColumn> {
    match expression {
        Expr::Identifier(name) if !name.value.starts_with('@') => of_parts(&[name]),
        Expr::CompoundIdentifier(parts) => of_parts(&parts.iter().collect::<Vec<_>>()),
        Expr::Nested(inner) => column(inner),
        _ => None,
    }
}

/// The columns of `a` or of `(a, b)`.
fn columns(expression: &Expr) -> Option<Vec<StatementColumn>> {
    match expression {
        Expr::Tuple(parts) => parts.iter().map(column).collect(),
        _ => Some(vec![column(expression)?]),
    }
}

/// True for an expression without a column.
fn is_constant(expression: &Expr) -> bool {
    visit_expressions(expression, |part| match column(part) {
        Some(_) => ControlFlow::Break(()),
        None => ControlFlow::Continue(()),
    })
    .is_continue()
}

fn is_equality(operator: &BinaryOperator) -> bool {
    matches!(operator, BinaryOperator::Eq | BinaryOperator::Spaceship)
}

fn is_comparison(operator: &BinaryOperator) -> bool {
    matches!(operator, BinaryOperator::Lt | BinaryOperator::LtEq | BinaryOperator::Gt | BinaryOperator::GtEq)
}
